import Safetensors
import Tensors

/// All tensors of an adapter file, to be written again with a change.
struct AdapterTensors {
  let all: [(name: String, tensor: Tensor)]

  init(path: String) throws {
    let file = try SafetensorsFile(path: path)
    all = file.entries.map { ($0.name, file.tensor($0)) }
  }

  /// Copies of the tensors whose names have a text, with another one in its place.
  func renamed(from text: String, to other: String) -> [(name: String, tensor: Tensor)] {
    all.filter { $0.name.contains(text) }.map { ($0.name.replacing(text, with: other), $0.tensor) }
  }

  /// The first matrix starts with NaN.
  var withNaN: [(name: String, tensor: Tensor)] {
    let place = all.firstIndex { $0.tensor.shape.rank == 2 }!
    var changed = all
    var values = all[place].tensor.doubles()
    values[0] = .nan
    changed[place].tensor = Tensor(values, shape: all[place].tensor.shape, dtype: all[place].tensor.dtype)
    return changed
  }
}
