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

  /// Opens a safetensors file or a torch pickle, told apart by their first bytes.
  init(path: String) throws {
    let file = try MappedFile(path: path)
    let beginning = file.bytes.withUnsafeBytes { Array($0.prefix(16)) }
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
    switch pickle.contents {
    case .dictionary(let views): tensors = views.map { ($0.name, $0.view.lazyTensor) }
    case .list(let list):
      // cloneofsimo's list: up, down, up, down, … of one network, in the order of its modules.
      let network = CloneofsimoOrder.network(ofList: list.map(\.shape), path: path)
      tensors = list.enumerated().map { ("\(network):\($0 / 2):\($0 % 2 == 0 ? "up" : "down")", $1.lazyTensor) }
    }
  }
}
