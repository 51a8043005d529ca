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
    state = try StateDict(path: tensorFile)
    let parts = tensorFile.split(separator: "/", omittingEmptySubsequences: false)
    // A PEFT model file means nothing without the configuration beside it, whichever of the two ways it is named.
    config =
      try isFolder || parts.last!.hasPrefix("adapter_model.")
      ? Self.config(inFolder: parts.count > 1 ? parts.dropLast().joined(separator: "/") : ".") : nil
  }

  private static func tensorFile(at path: String, isFolder: inout Bool) throws(AdapterError) -> String {
    let manager = FileManager.default
    var directory: Bool = false
    guard manager.fileExists(atPath: path, isDirectory: &directory), directory else { return path }
    isFolder = true
    let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
    for name in [
      "adapter_model.safetensors", "adapter_model.bin", "pytorch_lora_weights.safetensors", "adapters.safetensors",
    ] {
      let file = "\(folder)/\(name)"
      if manager.fileExists(atPath: file) { return file }
    }
    throw AdapterError(.notAnAdapter(reason: "found a folder without adapter_model.safetensors"), path: path)
  }

  private static func config(inFolder folder: String) throws -> PEFTConfig? {
    let file = "\(folder)/adapter_config.json"
    let found = try JSONValue.object(inFile: file) { AdapterError(.configuration(reason: $0), path: folder) }
    return try found.map { try config($0.fields, text: $0.text, path: folder) }
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
