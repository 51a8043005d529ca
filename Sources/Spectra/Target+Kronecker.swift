import Adapters
import LinearAlgebra
import Tensors

extension Target {
  /// The spectrum of a whole Kronecker product, from its two matrices; `nil` for any other target, and for matrices that have
  /// no singular values.
  ///
  /// Columns of the product are those of both together, so that a kernel of the second changes nothing.
  ///
  /// - Parameter count: how many vectors of the shorter side are wanted.
  func kroneckerSpectrum(vectors count: Int) -> DenseSpectrum? {
    guard let (first, second) = kronecker else { return nil }
    let spectrum = try? DenseSpectrum(
      kronecker: first.matrix, second.matrix, vectors: count, isWide: rows <= columns)
    return spectrum?.scaled(by: scale)
  }
}
