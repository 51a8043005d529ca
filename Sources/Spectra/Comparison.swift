public import Adapters
public import LinearAlgebra
public import Models

/// How far adapter B is from adapter A, target by target and as a whole.
///
/// Computed from the factors of both, in one core for each target, so equal deltas in different factors compare equal
/// to about 10⁻¹⁵. A target that only one side has counts in full: the other side's delta is zero.
public struct Comparison: Sendable {
  /// One pair of targets, or a target that only one side has.
  public struct Entry: Sendable {
    /// The target under any dialect.
    public let key: TargetKey
    /// As A spells it, or B where A has no such target; the module's name where neither has it as it is.
    public let name: String
    /// Which side has it.
    public let presence: Presence
    /// ‖A‖_F, ‖B‖_F and ‖A − B‖_F.
    public let normA: Double
    /// ‖B‖_F.
    public let normB: Double
    /// ‖A − B‖_F.
    public let difference: Double
    /// ⟨A, B⟩.
    public let inner: Double
    /// σ₁(A) and σ₁(A − B).
    public let spectralA: Double
    /// σ₁(A − B).
    public let spectralDifference: Double
    /// Cosines of the principal angles between the column spaces (what the deltas write to), largest first.
    public let upCosines: [Double]
    /// Cosines of the principal angles between the row spaces (what the deltas listen to), largest first.
    public let downCosines: [Double]

    /// ‖A − B‖ ÷ ‖A‖; 0 where both are zero, infinite where only A is.
    public var relativeError: Double { ratio(difference, normA) }
    /// σ₁(A − B) ÷ σ₁(A); 0 where both are zero, infinite where only A is.
    public var spectralError: Double { ratio(spectralDifference, spectralA) }
    /// ⟨A, B⟩ ÷ ‖A‖‖B‖; `nil` where one is zero.
    public var cosine: Double? { normA > 0 && normB > 0 ? inner / (normA * normB) : nil }
  }

  /// The sides that have a target; only what both have can be compared by directions.
  public enum Presence: String, Sendable { case both, onlyA, onlyB }

  /// In A's order, then what only B has.
  public let entries: [Entry]

  /// - Parameters:
  ///   - strengths: multiply A's and B's deltas before they are compared.
  ///   - threads: how many targets are worked on at once; the result does not depend on it.
  /// - Throws: `AdapterError` for factors that are not finite or whose shapes disagree.
  public init(
    _ a: Adapter, _ b: Adapter, strengths: (a: Double, b: Double) = (1, 1), threads: Int,
    progress: WorkProgress? = nil
  ) throws {
    let groups = TargetPairing([a, b]).groups
    entries = try concurrentMap(
      count: groups.count, threads: threads, order: groups.map { $0.members.map(\.target) }.longestFirst,
      progress: progress, workspace: FactorWorkspace.init
    ) { index, workspace in
      let group = groups[index]
      let files = [a.path, b.path], factors = [strengths.a, strengths.b]
      let delta = try DeltaSum(
        group.members.map { .init($0.target, of: files[$0.adapter], strength: factors[$0.adapter]) })
      let places = group.places, relations = try delta.relations(of: places, in: workspace)
      let both = places.count == 2
      return Entry(
        key: group.key, name: group.name, presence: both ? .both : places[0] != nil ? .onlyA : .onlyB,
        normA: relations.norm(0), normB: relations.norm(1), difference: relations.distance(0, 1),
        inner: relations.inner(0, 1), spectralA: try relations.spectralNorm(0),
        spectralDifference: try relations.spectralDistance(0, 1),
        upCosines: both ? try relations.outputCosines(0, 1) : [],
        downCosines: both ? try relations.inputCosines(0, 1) : [])
    }
  }

  /// ‖A‖_F over all targets together.
  public var normA: Double { entries.map(\.normA).rootOfSquares }
  /// ‖B‖_F over all targets together.
  public var normB: Double { entries.map(\.normB).rootOfSquares }
  /// ‖A − B‖_F over all targets together.
  public var difference: Double { entries.map(\.difference).rootOfSquares }
  /// ‖A − B‖_F ÷ ‖A‖_F over all targets together.
  public var relativeError: Double { ratio(difference, normA) }
  /// ⟨A, B⟩ ÷ ‖A‖‖B‖ over all targets together; `nil` where one is zero.
  public var cosine: Double? { normA > 0 && normB > 0 ? inner / (normA * normB) : nil }
  /// The c that makes ‖B − c·A‖ smallest, and that distance relative to ‖B‖: is B just A at another strength?
  public var bestFit: (factor: Double, relativeError: Double)? {
    guard normA > 0, normB > 0 else { return nil }
    let factor = inner / (normA * normA)
    // ‖B − cA‖² = Σ ‖B_t‖² − 2c⟨A_t, B_t⟩ + c²‖A_t‖².
    let square = entries.reduce(0) {
      $0 + $1.normB * $1.normB - 2 * factor * $1.inner + factor * factor * $1.normA * $1.normA
    }
    return (factor, max(0, square).squareRoot() / normB)
  }

  private var inner: Double { entries.reduce(0) { $0 + $1.inner } }
}

/// a ÷ b where nothing of nothing is 0.
func ratio(_ a: Double, _ b: Double) -> Double { a == 0 && b == 0 ? 0 : a / b }

extension [Double] {
  /// √Σx².
  var rootOfSquares: Double { reduce(0) { $0 + $1 * $1 }.squareRoot() }
}
