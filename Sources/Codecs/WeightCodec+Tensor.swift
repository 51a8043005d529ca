public import Tensors

extension WeightCodec {
  /// The numbers in single precision. They take no memory: rows are decoded whenever they are asked for.
  ///
  /// - Precondition: `shape` has as many elements as the weight.
  public func tensor(shape: Shape) -> Tensor {
    precondition(shape.elementCount == count, "a shape of \(count) elements")
    let rowBytes = 4 * max(columns, 1)
    return Tensor(
      dtype: .f32, shape: shape,
      bytes: Bytes(
        count: 4 * count,
        rangesComputedBy: { range in
          let rows = range.lowerBound / rowBytes..<(range.upperBound + rowBytes - 1) / rowBytes
          let whole = Bytes(count: rows.count * rowBytes) {
            decode(rows: rows, into: $0.bindMemory(to: Float.self))
          }
          let start = range.lowerBound - rows.lowerBound * rowBytes
          return whole[start..<start + range.count]
        }))
  }
}
