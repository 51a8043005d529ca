/// A product up · diag(weights) · down that is only looked at: m × r and r × n, row-major.
public struct FactoredProduct {
  let up: UnsafePointer<Double>
  let down: UnsafePointer<Double>
  let rows: Int
  let columns: Int
  let weights: [Double]

  /// - Precondition: the buffers hold m × r and r × n values for r weights, m·n·r > 0.
  public init(
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, rows: Int, columns: Int,
    weights: [Double]
  ) {
    precondition(up.count == rows * weights.count && down.count == weights.count * columns, "factors of wrong size")
    (self.up, self.down) = (UnsafePointer(up.baseAddress!), UnsafePointer(down.baseAddress!))
    (self.rows, self.columns, self.weights) = (rows, columns, weights)
  }

  /// ⟨D, D'⟩ = Σᵢⱼ wᵢ·w'ⱼ·⟨upᵢ, up'ⱼ⟩·⟨downᵢ, down'ⱼ⟩, without forming either product. Cost 2(m + n)·r·r' operations.
  public func inner(_ other: FactoredProduct) -> Double {
    precondition(rows == other.rows && columns == other.columns, "an inner product needs equal shapes")
    let r = weights.count, s = other.weights.count
    // Inner products of many components would take more memory than the products themselves.
    if r * s > max(1 << 20, rows * columns) { return dense.inner(other.dense) }
    var ups = Matrix(zeros: r, s), downs = Matrix(zeros: r, s)
    ups.elements.withUnsafeMutableBufferPointer {
      BLAS.multiply(
        up, r, transposed: true, other.up, s, transposed: false, rows: r, inner: rows, columns: s, into: $0.baseAddress!
      )
    }
    downs.elements.withUnsafeMutableBufferPointer {
      BLAS.multiply(
        down, columns, transposed: false, other.down, columns, transposed: true, rows: r, inner: columns, columns: s,
        into: $0.baseAddress!)
    }
    return ups.scalingRows(by: weights).scalingColumns(by: other.weights).inner(downs)
  }

  /// The product, formed: m × n.
  private var dense: Matrix {
    var product = Matrix(zeros: rows, columns)
    let scaled = (0..<rows * weights.count).map { up[$0] * weights[$0 % weights.count] }
    product.elements.withUnsafeMutableBufferPointer {
      BLAS.multiply(
        scaled, weights.count, transposed: false, down, columns, transposed: false, rows: rows, inner: weights.count,
        columns: columns, into: $0.baseAddress!)
    }
    return product
  }
}
