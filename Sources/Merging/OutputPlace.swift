import Adapters
import Checkpoints
import FoundationEssentials
import Safetensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where an output's files go: one file, or for a PEFT adapter a folder with its configuration.
struct OutputPlace {
  let tensorFile: String
  /// The configuration that belongs to the tensors; `nil` for formats without one.
  let configuration: JSONValue?
  private let folder: String?
  /// Whether there is no folder of this name yet.
  private let isNew: Bool

  init(_ output: String, plan: RefactorPlan, ranks: [(name: String, rank: Int)]) throws {
    let source = plan.adapters.lazy.compactMap(\.configuration).first
    // Fields of another algorithm would make the factors something else.
    var fields = plan.leavesFamily ? Self.plainConfiguration : source ?? Self.plainConfiguration
    for field in ["base_model_name_or_path", "task_type"] { fields[field] = source?[field] ?? fields[field] }
    // A merge may have targets that no single configuration names.
    if plan.recipe.operation == .merge || plan.leavesFamily { fields["target_modules"] = Self.modules(ranks) }
    try self.init(output, configuration: plan.writesFolder ? fields : nil, ranks: ranks)
  }

  /// - Parameters:
  ///   - fields: of the configuration, but for ranks and alphas; `nil` for an output of one file.
  ///   - ranks: one at least where there is a configuration.
  ///   - alphas: of the same targets; their ranks when `nil`, because the scales are in the factors.
  init(
    _ output: String, configuration fields: [String: JSONValue]?, ranks: [(name: String, rank: Int)],
    alphas: [Double]? = nil
  ) throws {
    guard let fields else {
      (tensorFile, configuration, folder, isNew) = (output, nil, nil, false)
      return
    }
    guard !output.hasSuffix(".safetensors") else { throw MergingError(.needsFolder, path: output) }
    let folder = output.hasSuffix("/") ? String(output.dropLast()) : output
    var isFolder = false
    isNew = !(FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) && isFolder)
    self.folder = folder
    tensorFile = folder + "/adapter_model.safetensors"
    var all = Self.configuration(fields, ranks: ranks)
    if let alphas { Self.set(alphas, of: ranks.map(\.name), in: &all) }
    configuration = .object(all)
  }

  private static func set(_ alphas: [Double], of names: [String], in fields: inout [String: JSONValue]) {
    func number(_ alpha: Double) -> JSONValue { Int(exactly: alpha).map { .int($0) } ?? .number(alpha) }
    let common = alphas.commonest
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
  static let plainConfiguration: [String: JSONValue] = [
    "peft_type": .string("LORA"), "base_model_name_or_path": .null, "task_type": .null, "inference_mode": .bool(true),
    "bias": .string("none"), "fan_in_fan_out": .bool(false), "lora_dropout": .number(0),
  ]

  /// The list of all targets that a configuration has.
  static func modules(_ ranks: [(name: String, rank: Int)]) -> JSONValue {
    .array(modules(ranks.map(\.name)).map { .string($0) })
  }

  /// The modules' names as a configuration spells them.
  private static func modules(_ names: [String]) -> [String] {
    let modules = names.map { name in
      var module = name
      while module.hasPrefix("base_model.model.") { module.removeFirst("base_model.model.".count) }
      return module
    }
    // As in `RankPatterns`: CLIP's text encoder with this level and without it. Beside a vision encoder it must stay.
    let level = "text_model."
    return modules.allSatisfy { $0.hasPrefix(level) } ? modules.map { $0.dropping(prefix: level) } : modules
  }

  /// Gives all files their names.
  func commit(_ writer: SafetensorsWriter, overwriting: Bool) throws {
    guard let folder, let configuration else { return try writer.commit() }
    let file = try TemporaryFile(for: folder + "/adapter_config.json", overwriting: overwriting)
    try Array((configuration.text + "\n").utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try writer.commit()
    try file.commit()
  }

  /// Fails early when a file or the folder cannot be made, or when one of the files exists and may not be replaced.
  func check(overwriting: Bool) throws {
    guard let folder else { return try TemporaryFile.checkDestination(tensorFile, overwriting: overwriting) }
    if isNew {
      guard !FileManager.default.fileExists(atPath: folder) else { throw MergingError(.needsFolder, path: folder) }
      return try TemporaryFile.checkDestination(folder, overwriting: false)
    }
    for file in [tensorFile, folder + "/adapter_config.json"] {
      try TemporaryFile.checkDestination(file, overwriting: overwriting)
    }
  }

  /// Makes the folder, if the output is one, before anything is written to it. As with files, the folder above it must
  /// be there.
  func prepare() throws {
    guard let folder, isNew else { return }
    guard mkdir(folder, 0o777) == 0 else {
      throw SafetensorsError(.notWritable(reason: systemReason()), path: folder)
    }
  }

  /// Takes back a folder that `prepare` made and in which nothing came to be.
  func removeFolderIfEmpty() {
    if let folder, isNew { rmdir(folder) }
  }
}
