public import Factoring
public import JSON
import LinearAlgebra

/// DARE: of each adapter's delta numbers are dropped by chance, the others made larger for it, and the sum is taken (Yu and
/// others, 2023).
public struct Dare: MergeMethod {
  /// The chance of a number to stay.
  public let density: Double
  /// What the choice begins with.
  public let seed: UInt64

  /// - Parameter density: above 0 and at most 1.
  public init(density: Double = 0.5, seed: UInt64 = 0) { (self.density, self.seed) = (density, seed) }

  /// As users and recipes write it: `dare`.
  public var name: String { "dare" }
  /// The density and the seed.
  public var settings: [String: JSONValue] { ["density": .number(density), "seed": .unsigned(seed)] }
  /// Always.
  public var combines: Bool { true }
  /// Keeping half.
  public var measured: MeasuredMerge? { .init(loss: 1.114, character: 0.48, style: 0.94) }
  /// Always.
  public var needsCut: Bool { true }

  /// The leading components of the sum of what stays.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    var sum = [Float](repeating: 0, count: deltas.rows * deltas.columns)
    for (member, delta) in zip(deltas.members, try deltas.dense()) {
      var choice = SeededChoice(seed: seed, weight: deltas.name, member: member.source)
      let gain = Float(1 / density)
      for i in delta.indices where choice.next() < density { sum[i] += gain * delta[i] }
    }
    return try deltas.leading(of: sum)
  }
}
