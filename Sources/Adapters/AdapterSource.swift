import Checkpoints
import FoundationEssentials

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
    for name in ["adapter_model.safetensors", "adapter_model.bin", "pytorch_lora_weights.safetensors"] {
      let file = "\(folder)/\(name)"
      if manager.fileExists(atPath: file) { return file }
    }
    throw AdapterError(.notAnAdapter(reason: "found a folder without adapter_model.safetensors"), path: path)
  }

  private static func config(inFolder folder: String) throws(AdapterError) -> PEFTConfig? {
    let file = "\(folder)/adapter_config.json"
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    guard let data = FileManager.default.contents(atPath: file), let text = String(data: data, encoding: .utf8),
      let fields = JSONValue(parsing: text)?.object
    else { throw AdapterError(.configuration(reason: "expected a JSON object"), path: folder) }
    return PEFTConfig(fields, text: text)
  }
}
