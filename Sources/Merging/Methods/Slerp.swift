public import Factoring
import LinearAlgebra
import Platform

/// SLERP of two adapters: on the arc between the directions of their deltas, at the place that their strengths say, and as long as
/// the mean of their lengths there.
///
/// With t = s₂ ÷ (s₁ + s₂) the result is max(s₁, s₂) · ((1 − t)·‖D₁‖ + t·‖D₂‖) long. Deltas of adapters stand nearly at
/// right angles, so that at equal strengths it is the sum times 0.71. A weight that only one adapter changes has nothing to turn
/// towards and keeps its strength.
public struct Slerp: MergeMethod {
  /// It has no settings.
  public init() {}

  /// As users and recipes write it: `slerp`.
  public var name: String { "slerp" }
  /// Always.
  public var combines: Bool { true }
  /// At equal strengths.
  public var measured: MeasuredMerge? { .init(loss: 1.131, character: 0.43, style: 0.75) }
  /// Two.
  public var adapterCounts: ClosedRange<Int> { 2...2 }

  /// Both deltas, scaled.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    let inners = try deltas.innerProducts(), strengths = deltas.members.map(\.strength.magnitude)
    let lengths = [inners[0, 0].squareRoot(), inners[1, 1].squareRoot()]
    guard lengths.allSatisfy({ $0 > 0 }) else { return nil }
    let t = strengths[1] / (strengths[0] + strengths[1]), largest = max(strengths[0], strengths[1])
    let length = largest * ((1 - t) * lengths[0] / strengths[0] + t * lengths[1] / strengths[1])
    let shares = Self.shares(at: t, cosine: inners[0, 1] / (lengths[0] * lengths[1]))
    return .scaled([shares.0 * length / lengths[0], shares.1 * length / lengths[1]])
  }

  /// What two vectors of length 1 are multiplied by. Where they are (nearly) parallel the arc is a line.
  static func shares(at t: Double, cosine: Double) -> (Double, Double) {
    let angle = acos(min(1, max(-1, cosine))), sine = sin(angle)
    guard sine > 1e-6 else { return (1 - t, t) }
    return (sin((1 - t) * angle) / sine, sin(t * angle) / sine)
  }
}
