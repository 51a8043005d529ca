import Files
import FoundationEssentials
import JSON

/// Where an adapter's tensors and configuration come from.
struct AdapterSource {
  let path: String
  let tensorFile: String
  let state: StateDict
  let config: PEFTConfig?

  init(path: String, tensorFile: String, state: StateDict, config: PEFTConfig?) {
    (self.path, self.tensorFile, self.state, self.config) = (path, tensorFile, state, config)
  }

  init(path: String) throws {
    self.path = path
    var isFolder = false
    tensorFile = try Self.tensorFile(at: path, isFolder: &isFolder)
    if isFolder { InputFiles.protect(folder: path, isDeep: false) }
    var state = try StateDict(path: tensorFile)
    let parts = tensorFile.split(separator: "/", omittingEmptySubsequences: false)
    // A PEFT model file means nothing without the configuration beside it, whichever of the two ways it is named.
    let hasFields = isFolder || parts.last!.hasPrefix("adapter_model.") || parts.last! == Self.mlxName
    let found =
      try hasFields ? Self.fields(inFolder: parts.count > 1 ? parts.dropLast().joined(separator: "/") : ".") : nil
    if state.foreign == nil, let other = try ForeignAdapter(mlx: state.tensors, fields: found?.fields, path: path) {
      state.take(other)
    }
    self.state = state
    if let other = state.foreign {
      config = try Self.config(.object(other.configuration), path: path)
    } else {
      config = try found.map { try Self.config($0.fields, text: $0.text, path: $0.folder) }
    }
  }

  private static let mlxName = "adapters.safetensors"

  private static func tensorFile(at path: String, isFolder: inout Bool) throws(AdapterError) -> String {
    let manager = FileManager.default
    var directory: Bool = false
    guard manager.fileExists(atPath: path, isDirectory: &directory), directory else { return path }
    isFolder = true
    let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
    for name in [
      "adapter_model.safetensors", "adapter_model.bin", "pytorch_lora_weights.safetensors", mlxName,
    ] {
      let file = "\(folder)/\(name)"
      if manager.fileExists(atPath: file) { return file }
    }
    throw AdapterError(.notAnAdapter(reason: "found a folder without adapter_model.safetensors"), path: path)
  }

  private static func fields(
    inFolder folder: String
  ) throws -> (fields: [String: JSONValue], text: String, folder: String)? {
    let file = "\(folder)/adapter_config.json"
    let found = try JSONValue.object(inFile: file) { AdapterError(.configuration(reason: $0), path: folder) }
    return found.map { ($0.fields, $0.text, folder) }
  }

  /// A configuration that is at hand.
  static func config(_ value: JSONValue?, path: String) throws(AdapterError) -> PEFTConfig? {
    guard let value, let fields = value.object else { return nil }
    return try config(fields, text: value.text, path: path)
  }

  static func config(
    _ fields: [String: JSONValue], component: String? = nil, text: String, path: String
  ) throws(AdapterError) -> PEFTConfig {
    do throws(ConfigurationFault) {
      return try PEFTConfig(fields, component: component, text: text)
    } catch { throw AdapterError(.configuration(reason: error.reason), path: path) }
  }
}
