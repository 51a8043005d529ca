import Checkpoints
import Files
import GGUF
import Safetensors
import Tensors
import TorchPickles

/// The named tensors of an adapter file, whatever container it is.
struct StateDict {
  /// In a stable order: the header's, or the pickle's.
  var tensors: [(name: String, tensor: Tensor)]
  var metadata: [(key: String, value: String)] = []
  var warnings: [String] = []
  /// The bytes that content hashes cover, for safetensors.
  var data: Bytes?
  var byteCount: Int
  /// The form that the file had, where that was another program's.
  private(set) var foreign: ForeignAdapter?

  /// Tensors in memory, as a safetensors file would have them.
  init(_ tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: String)]) {
    (self.tensors, self.metadata) = (tensors, metadata)
    let layout = SafetensorsLayout(
      tensors.map { .init(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }, metadata: metadata)
    byteCount = layout.fileCount
    data = layout.data(of: tensors)
  }

  /// Opens a safetensors file or a torch pickle, told apart by their first bytes.
  init(path: String) throws {
    try self.init(MappedFile(path: path))
    try unwrap(path: path)
  }

  private init(_ file: MappedFile) throws {
    let path = file.path, beginning = file.bytes.withUnsafeBytes { Array($0.prefix(16)) }
    if GGUFFile.recognises(beginning) {
      let gguf = try GGUFFile(file)
      guard gguf["general.type"] == .string("adapter") else {
        throw AdapterError(.notAnAdapter(reason: "found the weights of a model in GGUF"), path: path)
      }
      tensors = []
      byteCount = file.count
      metadata = gguf.texts
      take(try Self.foreign(gguf, path: path))
      return
    }
    guard TorchPickle.recognises(beginning) else {
      let safetensors = try SafetensorsFile(path: path)
      tensors = safetensors.entries.map { ($0.name, safetensors.tensor($0)) }
      metadata = safetensors.metadata
      warnings = safetensors.warnings
      data = safetensors.data
      byteCount = safetensors.byteCount
      return
    }
    let pickle = try TorchPickle(file)
    byteCount = file.count
    warnings = pickle.warning.map { [$0] } ?? []
    switch pickle.contents {
    case .dictionary(let views):
      tensors = views.map { ($0.name, $0.view.lazyTensor) }
      // Single precision where that says the number, as tensors of alphas have it.
      tensors += pickle.numbers.map { name, value in
        (name, Tensor([value], shape: [], dtype: Double(Float(value)) == value ? .f32 : .f64))
      }
    case .list(let list):
      // cloneofsimo's list: up, down, up, down, … of one network, in the order of its modules.
      let network = CloneofsimoOrder.network(ofList: list.map(\.shape), path: path)
      tensors = list.enumerated().map { ("\(network):\($0 / 2):\($0 % 2 == 0 ? "up" : "down")", $1.lazyTensor) }
    }
  }

  /// An adapter of llama.cpp's.
  private static func foreign(_ file: GGUFFile, path: String) throws(AdapterError) -> ForeignAdapter {
    func text(_ key: String) -> String? { if case .string(let text)? = file[key] { text } else { nil } }
    var alpha: Double?
    if case .number(let number)? = file["adapter.lora.alpha"] { alpha = number }
    if let alpha, !alpha.isFinite {
      throw AdapterError(.problem(AdapterProblem(.alphaNotFinite(found: alpha))), path: path)
    }
    return try ForeignAdapter(
      llama: file.entries.map { ($0.name, file.tensor($0)) }, architecture: text("general.architecture"),
      type: text("adapter.type"), alpha: alpha, path: path)
  }

  /// Puts another program's adapter, in PEFT's form, in place of what the file holds.
  mutating func take(_ other: ForeignAdapter) {
    (tensors, foreign) = (other.tensors, other)
    data = nil
  }

  /// Takes what wrapped models have in their names out of them.
  private mutating func unwrap(path: String) throws(AdapterError) {
    let levels = WrapperLevels(tensors.map(\.name))
    var seen: [String: String] = [:], example: String?
    for (index, tensor) in tensors.enumerated() {
      let name = levels.unwrapped(tensor.name)
      if let other = seen.updateValue(tensor.name, forKey: name) {
        throw AdapterError(
          .notAnAdapter(reason: "found \(other) and \(tensor.name), which are one name in a model that is not wrapped"),
          path: path)
      }
      guard name != tensor.name else { continue }
      example = example ?? tensor.name
      tensors[index].name = name
    }
    if let example { warnings.append("\(example): read without the levels that wrapping a model leaves in names") }
  }
}
