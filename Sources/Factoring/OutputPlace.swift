import Adapters
import Files
import FoundationEssentials
package import JSON

/// Where an output's files go: one file, or for a PEFT adapter a folder with its configuration.
package struct OutputPlace {
  package let tensorFile: String
  /// The configuration that belongs to the tensors; `nil` for formats without one.
  package let configuration: JSONValue?
  /// `nil` for an output of one file.
  package let folder: String?

  package static let tensorName = "adapter_model.safetensors"
  package static let configurationName = "adapter_config.json"
  /// What is replaced in a folder that exists; what else is in it stays.
  package static let fileNames: Set = [tensorName, configurationName]

  /// - Parameters:
  ///   - fields: of the configuration, but for ranks and alphas; `nil` for an output of one file.
  ///   - ranks: one at least where there is a configuration.
  ///   - alphas: of the same targets; their ranks when `nil`, because the scales are in the factors.
  package init(
    _ output: String, configuration fields: [String: JSONValue]?, ranks: [(name: String, rank: Int)],
    alphas: [Double]? = nil
  ) throws {
    guard let fields else {
      (tensorFile, configuration, folder) = (output, nil, nil)
      return
    }
    guard !output.hasSuffix(".safetensors") else { throw FactoringError(.needsFolder, path: output) }
    let folder = output.hasSuffix("/") ? String(output.dropLast()) : output
    self.folder = folder
    tensorFile = "\(folder)/\(Self.tensorName)"
    var all = Self.configuration(fields, ranks: ranks)
    if let alphas { Self.set(alphas, of: ranks.map(\.name), in: &all) }
    configuration = .object(all)
  }

  /// The fields of a source's configuration that hold for LoRA made of it, but for ranks and alphas.
  ///
  /// - Parameter leavesFamily: whether targets were of other algorithms, whose fields would make the factors something else.
  package static func configuration(
    like source: [String: JSONValue]?, leavingFamily leavesFamily: Bool
  ) -> [String: JSONValue] {
    guard let source else { return plainConfiguration }
    guard leavesFamily else { return source }
    var fields = plainConfiguration
    for field in ["base_model_name_or_path", "task_type"] { fields[field] = source[field] ?? fields[field] }
    return fields
  }

  private static func set(_ alphas: [Double], of names: [String], in fields: inout [String: JSONValue]) {
    func number(_ alpha: Double) -> JSONValue { Int(exactly: alpha).map { .int($0) } ?? .number(alpha) }
    let common = alphas.commonest(.first) ?? 0
    let others = zip(modules(names), alphas).filter { $0.1 != common }.map { module, alpha in
      (module.replacing(".", with: "\\."), number(alpha))
    }
    fields["lora_alpha"] = number(common)
    fields["alpha_pattern"] = .object(Dictionary(uniqueKeysWithValues: others))
  }

  /// The source's configuration with the new ranks. Scales are in the factors, so every alpha equals its rank.
  private static func configuration(
    _ fields: [String: JSONValue], ranks: [(name: String, rank: Int)]
  ) -> [String: JSONValue] {
    var fields = fields
    let largest = ranks.map(\.rank).max()!
    let others = zip(modules(ranks.map(\.name)), ranks).filter { $0.1.rank != largest }.map { module, entry in
      (module.replacing(".", with: "\\."), JSONValue.int(entry.rank))
    }
    let patterns = JSONValue.object(Dictionary(uniqueKeysWithValues: others))
    fields["r"] = .int(largest)
    fields["lora_alpha"] = .int(largest)
    fields["use_rslora"] = .bool(false)
    fields["rank_pattern"] = patterns
    fields["alpha_pattern"] = patterns
    return fields
  }

  /// For adapters that come from formats without a configuration.
  package static let plainConfiguration: [String: JSONValue] = [
    "peft_type": .string("LORA"), "base_model_name_or_path": .null, "task_type": .null, "inference_mode": .bool(true),
    "bias": .string("none"), "fan_in_fan_out": .bool(false), "lora_dropout": .number(0),
  ]

  /// The list of all targets that a configuration has.
  package static func moduleList(_ ranks: [(name: String, rank: Int)]) -> JSONValue {
    .array(modules(ranks.map(\.name)).map { .string($0) })
  }

  /// The modules' names as a configuration spells them.
  package static func modules(_ names: [String]) -> [String] {
    let modules = names.map { name in
      var module = name
      module = PEFTDialect.unwrapped(module)
      return module
    }
    // As in `RankPatterns`: CLIP's text encoder with this level and without it. Beside a vision encoder it must stay.
    let level = "text_model."
    return modules.allSatisfy { $0.hasPrefix(level) } ? modules.map { $0.dropping(prefix: level) } : modules
  }

  /// Fails early when a file or the folder cannot be made, or when one of the files exists and may not be replaced.
  ///
  /// - Parameter own: inputs that may be replaced, because the command works in place.
  package func check(overwriting: Bool, inPlaceOf own: Set<String> = []) throws {
    guard let folder else {
      return try TemporaryFile.checkDestination(tensorFile, overwriting: overwriting, inPlaceOf: own)
    }
    guard !Self.isFile(folder) else {
      throw FileError(.notWritable(reason: "expected a folder for a PEFT adapter, found a file"), path: folder)
    }
    for name in Self.fileNames.sorted().reversed() where !overwriting {
      let file = "\(folder)/\(name)"
      if FileManager.default.fileExists(atPath: file) { throw FileError(.exists, path: file) }
    }
    try StagedFolder.checkDestination(folder, replacing: Self.fileNames, inPlaceOf: own)
  }

  /// Whether a file has the name, where a folder is wanted.
  package static func isFile(_ path: String) -> Bool {
    var isFolder = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder
  }
}
