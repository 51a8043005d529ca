import LinearAlgebra
import Spectra

/// A truncation that treats all adapters of a merge alike.
///
/// The best approximation of a sum keeps its strongest directions, which may all belong to one adapter. This instead
/// finds the k-dimensional output and input spaces that keep the largest mean share of every adapter's own delta
/// (orthogonal iteration for a Tucker-2 decomposition of the stacked cores), and projects the sum on them.
enum FairProjection {
  private static let sweeps = 12

  /// - Parameters:
  ///   - cores: one for each adapter, in common coordinates; zero ones do not count.
  ///   - rank: the dimension of both spaces.
  /// - Returns: orthonormal bases of both spaces as columns.
  static func spaces(for cores: [Matrix], rank: Int) throws -> (left: Matrix, right: Matrix) {
    let alike = cores.compactMap { core -> Matrix? in
      let norm = core.frobeniusNorm
      return norm > 0 ? (1 / norm) * core : nil
    }
    var right = try SingularValues(of: Matrix(stacking: alike)).vt.selecting(rows: 0..<rank).transposed
    var left = right, objective = 0.0
    for _ in 0..<sweeps {
      let images = alike.map { ($0 * right).transposed }
      left = try SingularValues(of: Matrix(stacking: images)).vt.selecting(rows: 0..<rank).transposed
      let svd = try SingularValues(of: Matrix(stacking: alike.map { left.transposedTimes($0) }))
      right = svd.vt.selecting(rows: 0..<rank).transposed
      let reached = svd.values.prefix(rank).reduce(0) { $0 + $1 * $1 }
      if reached - objective <= 1e-6 * reached { break }
      objective = reached
    }
    return (left, right)
  }
}
