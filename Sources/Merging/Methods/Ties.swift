public import Factoring
public import JSON
import LinearAlgebra

/// TIES: of each adapter's delta the largest numbers stay, in each place those that agree with the majority's sign, and their
/// mean is taken (Yadav and others, 2023), or their sum.
///
/// It works on the deltas themselves, where PEFT's `ties` works on factors, whose signs mean nothing. With equal strengths above 0
/// the mean is PEFT's `ties_svd`; others vote with their strengths here.
public struct Ties: MergeMethod {
  /// The share of each delta's numbers that stay.
  public let density: Double
  /// Whether what agrees is added up, so that a place that only one adapter changes keeps its strength.
  public let adds: Bool

  /// - Parameter density: above 0 and at most 1.
  public init(density: Double = 0.5, adds: Bool = false) { (self.density, self.adds) = (density, adds) }

  /// As users and recipes write it: `ties` for the mean, `ties-sum` for the sum.
  public var name: String { adds ? "ties-sum" : "ties" }
  /// The density.
  public var settings: [String: JSONValue] { ["density": .number(density)] }
  /// Always.
  public var combines: Bool { true }
  /// Keeping half: the mean lost more than the sum.
  public var measured: MeasuredMerge? {
    adds ? .init(loss: 1.016, character: 0.54, style: 0.91) : .init(loss: 1.094, character: 0.48, style: 0.80)
  }
  /// Always: what is chosen number by number has as many components as a matrix can have.
  public var needsCut: Bool { true }

  /// The elected numbers' leading components.
  public func combination(of deltas: DeltasToMerge) throws -> Combination? {
    let trimmed = try deltas.dense().map { $0.trimmed(to: density) }
    return try deltas.leading(of: SignElection.elected(trimmed, adds ? .sum : .mean))
  }
}
