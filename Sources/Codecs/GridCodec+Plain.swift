public import Tensors

extension GridCodec {
  /// Floating-point numbers of eight bits that stand for themselves; `nil` for a tensor of another format.
  public init?(plain tensor: Tensor) {
    guard let table = CodeTable.floats(tensor.dtype) else { return nil }
    let (rows, columns) = tensor.shape.flattened
    try? self.init(
      tensor.dtype.rawValue, rows: rows, columns: columns, codes: .bytes(table), bytes: tensor.bytes,
      arrangement: .blocks(height: max(rows, 1), width: max(columns, 1), perRow: 1), steps: .one)
  }
}
