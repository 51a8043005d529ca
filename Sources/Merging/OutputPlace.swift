import Adapters
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

  init(_ output: String, plan: RefactorPlan, ranks: [(name: String, rank: Int)]) throws {
    guard plan.writesFolder, let source = plan.adapters.first(where: { $0.configuration != nil }) else {
      (tensorFile, configuration, folder) = (output, nil, nil)
      return
    }
    guard !output.hasSuffix(".safetensors") else { throw MergingError(.needsFolder, path: output) }
    let folder = output.hasSuffix("/") ? String(output.dropLast()) : output
    self.folder = folder
    tensorFile = folder + "/adapter_model.safetensors"
    configuration = .object(Self.configuration(source.configuration!, ranks: ranks))
  }

  /// The source's configuration with the new ranks. Scales are in the factors, so every alpha equals its rank.
  private static func configuration(
    _ fields: [String: JSONValue], ranks: [(name: String, rank: Int)]
  ) -> [String: JSONValue] {
    var fields = fields
    let largest = ranks.map(\.rank).max()!
    let others = ranks.filter { $0.rank != largest }.map { entry -> (String, JSONValue) in
      var module = entry.name
      while module.hasPrefix("base_model.model.") { module.removeFirst("base_model.model.".count) }
      return (module.replacing(".", with: "\\."), .int(entry.rank))
    }
    let patterns = JSONValue.object(Dictionary(uniqueKeysWithValues: others))
    fields["r"] = .int(largest)
    fields["lora_alpha"] = .int(largest)
    fields["use_rslora"] = .bool(false)
    fields["rank_pattern"] = patterns
    fields["alpha_pattern"] = patterns
    return fields
  }

  /// Gives all files their names.
  func commit(_ writer: SafetensorsWriter, overwriting: Bool) throws {
    guard let folder, let configuration else { return try writer.commit() }
    let file = try TemporaryFile(for: folder + "/adapter_config.json", overwriting: overwriting)
    try Array((configuration.text + "\n").utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try writer.commit()
    try file.commit()
  }

  /// Fails early when one of the folder's files exists and may not be replaced.
  func check(overwriting: Bool) throws {
    guard let folder, FileManager.default.fileExists(atPath: folder) else { return }
    for file in [tensorFile, folder + "/adapter_config.json"] {
      try TemporaryFile.checkDestination(file, overwriting: overwriting)
    }
  }

  /// Makes the folder, if the output is one, before anything is written to it.
  func prepare() throws {
    guard let folder else { return }
    guard (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil else {
      throw SafetensorsError(.notWritable(reason: "the folder could not be made"), path: folder)
    }
  }

  /// Takes back a folder in which nothing came to be.
  func removeFolderIfEmpty() {
    if let folder { rmdir(folder) }
  }
}
