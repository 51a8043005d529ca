import Adapters
package import JSON

/// What a PEFT configuration says of an adapter's targets, whole modules and biases: without it PEFT passes them over.
///
/// Source: PEFT 0.21 (`utils/save_and_load.py`, `utils/other.py`).
package struct PEFTWholeWeights {
  /// Of tensors that are no factors.
  package let names: [String]
  /// Of targets with factors.
  package let targets: [String]
  /// Configurations that the parts are from.
  package let sources: [[String: JSONValue]]

  package init(names: [String], targets: [String], sources: [[String: JSONValue]]) {
    (self.names, self.targets, self.sources) = (names, targets, sources)
  }

  package func set(in fields: inout [String: JSONValue]) {
    let targets = OutputPlace.modules(targets), isTarget = Set(targets)
    // Parameters of modules that are no layers can be told in no other way.
    let parameters = strings("target_parameters")
    func isParameter(_ module: String) -> Bool {
      parameters.contains { "\(module).weight" == $0 || "\(module).weight".hasSuffix("." + $0) }
    }
    let own = parameters.filter { parameter in
      targets.contains { isParameter($0) && "\($0).weight".hasSuffix(parameter) }
    }
    fields["target_parameters"] = own.isEmpty ? .null : .array(own.map { .string($0) })
    fields["target_modules"] = .array(targets.filter { !isParameter($0) }.map { .string($0) })

    let weights = names.filter { $0.hasSuffix(".weight") }.map(WholeWeight.module(of:)).filter {
      !isTarget.contains($0)
    }
    var saved = strings("modules_to_save").filter { entry in weights.contains { covers(entry, $0) } }
    for module in weights where !saved.contains(where: { covers($0, module) }) { saved.append(module) }
    fields["modules_to_save"] = saved.isEmpty ? .null : .array(saved.map { .string($0) })
    // Tasks have modules that PEFT looks for in the file.
    let isWhole = strings("modules_to_save").allSatisfy { entry in saved.contains(entry) }
    if !isWhole { fields["task_type"] = .null }

    let biases = names.filter { $0.hasSuffix(".bias") && !$0.hasSuffix(".lora_B.bias") }.map(WholeWeight.module(of:))
      .filter { module in !saved.contains { covers($0, module) } }
    fields["bias"] = .string(biases.isEmpty ? "none" : biases.allSatisfy(isTarget.contains) ? "lora_only" : "all")
    if names.contains(where: { $0.hasSuffix(".lora_B.bias") }) { fields["lora_bias"] = .bool(true) }
  }

  /// Entries of a list in all sources, each once.
  private func strings(_ field: String) -> [String] {
    var seen: Set<String> = []
    return sources.flatMap { $0[field]?.array?.compactMap(\.string) ?? [] }.filter { seen.insert($0).inserted }
  }

  /// Whether PEFT takes a module for one that the entry names, or for a part of one: ends of names count.
  private func covers(_ entry: String, _ module: String) -> Bool {
    var path = Substring(module)
    while true {
      if path.hasSuffix(entry) { return true }
      guard let dot = path.lastIndex(of: ".") else { return false }
      path = path[..<dot]
    }
  }
}
