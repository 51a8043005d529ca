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
      let kind = try GGUFFile(file)["general.type"]
      throw AdapterError(
        .notAnAdapter(
          reason: kind == .string("adapter")
            ? "found one of llama.cpp in GGUF, whose names only llama.cpp knows; hint: use the PEFT folder that it was made from"
            : "found the weights of a model in GGUF"), path: path)
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
