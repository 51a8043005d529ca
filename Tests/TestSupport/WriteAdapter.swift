import Safetensors
public import Tensors

/// A tensor of a small adapter file: its name, shape, number format and values in C order.
public typealias NamedValues = (name: String, shape: [Int], dtype: DType, values: [Double])

/// Writes a safetensors file of the given tensors, replacing one that is there.
///
/// - Throws: `SafetensorsError`.
public func writeAdapter(
  to path: String, tensors: [NamedValues], metadata: [(key: String, value: String)] = []
) throws {
  let items = tensors.map { SafetensorsLayout.Item(name: $0.name, dtype: $0.dtype, shape: Shape($0.shape)) }
  let layout = SafetensorsLayout(items, metadata: metadata)
  let writer = try SafetensorsWriter(layout: layout, destination: path, overwriting: true)
  for tensor in tensors {
    let stored = Tensor(tensor.values, shape: Shape(tensor.shape), dtype: tensor.dtype)
    try stored.bytes.withUnsafeBytes { try writer.write($0, of: tensor.name) }
  }
  try writer.seal()
  try writer.commit()
}

/// Values whose only use is to fill a tensor of `shape`: random, the same for the same seed.
public func filler(_ name: String, _ shape: [Int], _ dtype: DType = .f32, seed: UInt64 = 1) -> NamedValues {
  var generator = SplitMix64(seed: seed)
  return (name, shape, dtype, generator.gaussians(shape.reduce(1, *)))
}
