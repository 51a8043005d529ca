import Safetensors
public import Tensors

/// A tensor of a small adapter file: its name, shape, number format and values in C order.
public typealias NamedValues = (name: String, shape: [Int], dtype: DType, values: [Double])

/// Writes a safetensors file of the given tensors, replacing one that is there.
///
/// - Throws: `FileError`.
public func writeAdapter(
  to path: String, tensors: [NamedValues], metadata: [(key: String, value: String)] = []
) throws {
  try writeTensors(
    tensors.map { ($0.name, Tensor($0.values, shape: Shape($0.shape), dtype: $0.dtype)) }, metadata: metadata, to: path)
}

/// Writes a safetensors file of the given tensors, replacing one that is there.
///
/// - Throws: `FileError`.
public func writeTensors(
  _ tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: String)] = [], to path: String
) throws {
  let items = tensors.map { SafetensorsLayout.Item(name: $0.name, dtype: $0.tensor.dtype, shape: $0.tensor.shape) }
  let layout = SafetensorsLayout(items, metadata: metadata)
  let writer = try SafetensorsWriter(layout: layout, destination: path, overwriting: true)
  for (name, tensor) in tensors { try tensor.bytes.withUnsafeBytes { try writer.write($0, of: name) } }
  try writer.seal()
  try writer.commit()
}

/// Values whose only use is to fill a tensor of `shape`: random, the same for the same seed.
public func filler(_ name: String, _ shape: [Int], _ dtype: DType = .f32, seed: UInt64 = 1) -> NamedValues {
  var generator = SplitMix64(seed: seed)
  return (name, shape, dtype, generator.gaussians(shape.reduce(1, *)))
}
