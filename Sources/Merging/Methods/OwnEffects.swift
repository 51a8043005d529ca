public import Factoring
import LinearAlgebra

/// Scales the adapters' deltas so that each has exactly its own effect in the sum: ⟨Dₜ, S⟩ = ‖Dₜ‖², whatever others add along it.
///
/// Where adapters have nothing in common that is the plain sum; what two of them have in common is there once, not twice. The
/// factors come from the deltas' inner products (a system of as many equations as adapters, by least squares where adapters are
/// nearly the same).
public struct OwnEffects: MergeMethod {
  /// Directions in which adapters differ by less than this share of the mean are left alone.
  static let leastDifference = 0.05

  /// It has no settings.
  public init() {}

  /// As users and recipes write it: `normalised`.
  public var name: String { "normalised" }
  /// Always.
  public var combines: Bool { true }

  /// All deltas, scaled.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    .scaled(try Self.factors(for: try deltas.innerProducts()))
  }

  /// The factors c with Σₛ cₛ·⟨Dₜ, Dₛ⟩ = ‖Dₜ‖² for each t; 1 for a delta that is zero.
  ///
  /// - Parameter inners: ⟨Dₜ, Dₛ⟩.
  static func factors(for inners: Matrix) throws -> [Double] {
    let lengths = (0..<inners.rows).map { max(0, inners[$0, $0]).squareRoot() }
    let places = lengths.indices.filter { lengths[$0] > 0 }
    guard !places.isEmpty else { return lengths.map { _ in 1 } }
    var cosines = Matrix(zeros: places.count, places.count)
    for (i, a) in places.enumerated() {
      for (j, b) in places.enumerated() { cosines[i, j] = inners[a, b] / (lengths[a] * lengths[b]) }
    }
    let svd = try SingularValues(of: cosines)
    let wanted = Matrix(rows: places.count, columns: 1, elements: places.map { lengths[$0] })
    let inverses = svd.values.map { $0 > leastDifference ? 1 / $0 : 0 }
    let found = svd.vt.transposedTimes(svd.u.transposedTimes(wanted).scalingRows(by: inverses))
    var factors = lengths.map { _ in 1.0 }
    for (i, place) in places.enumerated() { factors[place] = found[i, 0] / lengths[place] }
    return factors
  }
}
