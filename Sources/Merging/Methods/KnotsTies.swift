public import Factoring
public import JSON
import LinearAlgebra

/// KnOTS with TIES: the deltas are brought into one space of outputs first, and TIES works on what each adapter does in its
/// directions (Stoica and others, 2024).
///
/// [D₁ D₂ …] = U·Σ·[V₁ V₂ …]ᵀ; of Σ·Vₜᵀ the largest numbers stay, signs are elected, and U brings back what is left. It needs no delta
/// number by number, and the result has no more components than the sum.
public struct KnotsTies: MergeMethod {
  /// The share of each adapter's numbers that stay.
  public let density: Double

  /// - Parameter density: above 0 and at most 1.
  public init(density: Double = 0.5) { self.density = density }

  /// As users and recipes write it: `knots-ties`.
  public var name: String { "knots-ties" }
  /// The density.
  public var settings: [String: JSONValue] { ["density": .number(density)] }
  /// Always.
  public var combines: Bool { true }
  /// At equal strengths.
  public var measured: MeasuredMerge? { .init(loss: 1.094, character: 0.46, style: 0.81) }

  /// The elected numbers in the common directions.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    let factors = try deltas.factors()
    let basis = try Matrix(joining: factors.map(\.up)).basis()
    guard basis.columns > 0 else { return nil }
    // Σ·Vₜᵀ = EᵀQᵀDₜ, E being the eigenvectors of Σ QᵀDₜ·DₜᵀQ.
    let images = factors.map { basis.transposedTimes($0.up) * $0.down }
    var gram = Matrix(zeros: basis.columns, basis.columns)
    for image in images { gram = gram + image.timesTransposed(image) }
    let axes = try SingularValues(of: gram).u
    let parts = images.map { image in
      let turned = axes.transposedTimes(image)
      return turned.elements.keepingLargest(Int(density * Double(turned.elements.count)))
    }
    let merged = SignElection.elected(parts, .mean)
    return .factors(
      up: basis * axes, down: Matrix(rows: axes.columns, columns: deltas.columns, elements: merged), outside: 0)
  }
}
