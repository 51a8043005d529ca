import Adapters
import LinearAlgebra
import Tensors

extension Target {
  /// The spectrum of a whole Kronecker product, from its two matrices; `nil` for any other target, and for matrices that have
  /// no singular values.
  ///
  /// Columns of the product are those of both together, so that a kernel of the second changes nothing.
  var kroneckerSpectrum: Spectrum? {
    guard let (first, second) = kronecker else { return nil }
    guard let a = try? Self.values(of: first), let b = try? Self.values(of: second) else { return nil }
    let size = scale.magnitude
    let products = a.flatMap { x in b.map { y in x * y * size } }.sorted(by: >)
    let count = min(rows, columns)
    return Spectrum(Array(products.prefix(count)) + Array(repeating: 0, count: max(0, count - products.count)))
  }

  /// Without values that only rounding made.
  private static func values(of tensor: Tensor) throws -> [Double] {
    let matrix = tensor.matrix, values = try SingularValues.values(of: matrix)
    return Array(values.prefix(values.numericalRank(rows: matrix.rows, columns: matrix.columns)))
  }
}
