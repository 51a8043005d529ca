public import Factoring
public import JSON
import LinearAlgebra

/// DELLA: as DARE, but the larger a number is among those of its row, the likelier it stays; then signs are elected as in TIES,
/// and what agrees is added up (Deep and others, 2024).
public struct Della: MergeMethod {
  /// The mean chance of a number to stay.
  public let density: Double
  /// What the choice begins with.
  public let seed: UInt64
  /// How far the chances of a row's smallest and largest number are from the mean, as a share of what there is room for.
  static let spread = 0.5

  /// - Parameter density: above 0 and at most 1.
  public init(density: Double = 0.5, seed: UInt64 = 0) { (self.density, self.seed) = (density, seed) }

  /// As users and recipes write it: `della`.
  public var name: String { "della" }
  /// The density and the seed.
  public var settings: [String: JSONValue] { ["density": .number(density), "seed": .unsigned(seed)] }
  /// Always.
  public var combines: Bool { true }
  /// Keeping half.
  public var measured: MeasuredMerge? { .init(loss: 1.058, character: 0.51, style: 0.94) }
  /// Always.
  public var needsCut: Bool { true }

  /// The leading components of what is elected.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    let chances = chances(columns: deltas.columns)
    let parts = zip(deltas.members, try deltas.dense()).map { member, delta in
      var choice = SeededChoice(seed: seed, weight: deltas.name, member: member.source)
      return sparse(delta, columns: deltas.columns, chances, &choice)
    }
    return try deltas.leading(of: SignElection.elected(parts, .sum))
  }

  /// The chance to stay by a number's place in its row, the smallest first: it grows evenly, and its mean is the density.
  func chances(columns: Int) -> [Double] {
    let reach = Self.spread * min(density, 1 - density)
    return (0..<columns).map { place in
      columns > 1 ? density + reach * (2 * Double(place) / Double(columns - 1) - 1) : density
    }
  }

  /// What stays of a delta, each number divided by its chance, so that the expected value is the number.
  private func sparse(
    _ delta: [Float], columns: Int, _ chances: [Double], _ choice: inout SeededChoice
  ) -> [Float] {
    var result = [Float](repeating: 0, count: delta.count)
    for start in stride(from: 0, to: delta.count, by: columns) {
      // Equal numbers keep their order, so that equal input gives equal output.
      let order = (start..<start + columns).sorted { (delta[$0].magnitude, $0) < (delta[$1].magnitude, $1) }
      for (place, i) in order.enumerated() where choice.next() < chances[place] {
        result[i] = delta[i] / Float(chances[place])
      }
    }
    return result
  }
}
