public import Factoring
public import JSON
import LinearAlgebra

/// Keeps some adapters as they are, and takes out of the others what writes into their outputs: up ← up − μ ÷ (1 + μ) · U·Uᵀ·up, U
/// being an orthonormal basis of what the protected deltas put out.
public struct NullSpace: MergeMethod {
  /// The places of the protected adapters among the inputs.
  public let protected: Set<Int>
  /// μ: 0 takes nothing, 1 half, ∞ everything.
  public let strength: Double

  /// - Parameter strength: at least 0.
  public init(protecting protected: Set<Int>, strength: Double = 1) {
    (self.protected, self.strength) = (protected, strength)
  }

  /// As users and recipes write it: `null-space`.
  public var name: String { "null-space" }
  /// The strength of the protection, and the places of the protected adapters, counted from 1.
  public var settings: [String: JSONValue] {
    ["protect_strength": .number(strength), "protects": .array(protected.sorted().map { .int($0 + 1) })]
  }
  /// Always.
  public var combines: Bool { true }
  /// The style protected, at strength 1.
  public var measured: MeasuredMerge? { .init(loss: 1.003, character: 0.42, style: 0.96) }

  /// The protected deltas, and what is left of the others.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    let factors = try deltas.factors(), isProtected = deltas.members.map { protected.contains($0.source) }
    let spaces = try zip(factors, isProtected).filter(\.1).map { try SingularSpace(up: $0.0.up, down: $0.0.down).u }
      .filter { $0.columns > 0 }
    guard !spaces.isEmpty, isProtected.contains(false) else { return nil }
    let basis = try Matrix(joining: spaces).basis(), share = strength.isFinite ? strength / (1 + strength) : 1
    let ups = zip(factors, isProtected).map { factor, isProtected in
      isProtected ? factor.up : factor.up - share * (basis * basis.transposedTimes(factor.up))
    }
    return .factors(up: Matrix(joining: ups), down: Matrix(stacking: factors.map(\.down)), outside: 0)
  }
}
