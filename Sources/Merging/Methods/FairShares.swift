public import Factoring
public import LinearAlgebra
import Spectra

/// Treats all adapters alike.
///
/// The best approximation of a sum keeps its strongest directions, which may all belong to one adapter. This instead
/// finds the k-dimensional output and input spaces that keep the largest mean share of every adapter's own delta
/// (orthogonal iteration for a Tucker-2 decomposition of the stacked cores), and projects the sum on them.
public struct FairShares: MergeMethod {
  private static let sweeps = 12

  /// It has no settings.
  public init() {}

  /// As users and recipes write it: `fair`.
  public var name: String { "fair" }
  /// Always: the kept directions are those with the largest mean share of every adapter.
  public var sharesLoss: Bool { true }

  /// - Returns: `nil` also where the adapters' common directions cancel in the sum, so that its projection would not fill the rank.
  public func decomposition(of sum: SumToCut, rank: Int) throws -> Decomposition? {
    let spaces = try Self.spaces(for: Self.cores(of: sum), rank: rank), delta = sum.delta
    let decomposition = try sum.core.decomposed(weights: delta.weights, left: spaces.left, right: spaces.right)
    return decomposition.numericalRank(rows: delta.rows, columns: delta.columns) >= rank ? decomposition : nil
  }

  /// One core for each adapter: one that has the module in parts is heard once.
  private static func cores(of sum: SumToCut) -> [Matrix] {
    var heard: [Matrix] = [], heardOf: [Int: (place: Int, strength: Double)] = [:]
    for (index, term) in sum.delta.terms.enumerated() where term.strength != 0 {
      let own = sum.core.core(weights: sum.delta.weights(ofTerm: index))
      if let known = heardOf[sum.sources[index]] {
        let core: Matrix = (term.strength / known.strength) * own
        heard[known.place] = heard[known.place] + core
      } else {
        heardOf[sum.sources[index]] = (heard.count, term.strength)
        heard.append(own)
      }
    }
    return heard
  }

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
