public import JSON
public import LinearAlgebra
public import Spectra

/// How several adapters' deltas of one weight become one, and how that is cut to fewer components than it has.
///
/// Most methods do one of the two: change what the deltas become together (`combination(of:)`), or what is kept of their sum
/// (`decomposition(of:rank:)`).
public protocol MergeMethod: Sendable {
  /// What users call it.
  var name: String { get }

  /// What else decides the result, by the names that metadata have for it.
  var settings: [String: JSONValue] { get }

  /// Whether it is what is done without a word, so that nothing needs to say it.
  var isUsual: Bool { get }

  /// Whether the loss is shared, so that weak adapters do not bear all of it.
  var sharesLoss: Bool { get }

  /// Whether it makes something else of the deltas than their sum.
  var combines: Bool { get }

  /// Whether what it makes has as many components as the weight allows, so that only leading ones can be written: a rank or a
  /// size has to say how many.
  var needsCut: Bool { get }

  /// With how many adapters it works.
  var adapterCounts: ClosedRange<Int> { get }

  /// What it did where it was measured; `nil` where it was not, and for ways to cut the sum.
  var measured: MeasuredMerge? { get }

  /// What the deltas become.
  ///
  /// - Returns: `nil` for their weighted sum.
  /// - Throws: `LinearAlgebraError` where a decomposition does not converge.
  func combination(of deltas: DeltasToMerge) throws -> Combination?

  /// The components that are kept of the sum.
  ///
  /// - Parameter rank: how many, fewer than the sum has.
  /// - Returns: `nil` for the leading ones of the sum itself, which are its best approximation.
  func decomposition(of sum: SumToCut, rank: Int) throws -> Decomposition?
}

extension MergeMethod {
  public var settings: [String: JSONValue] { [:] }
  public var isUsual: Bool { false }
  public var sharesLoss: Bool { false }
  public var combines: Bool { false }
  public var needsCut: Bool { false }
  public var adapterCounts: ClosedRange<Int> { 1...Int.max }
  public var measured: MeasuredMerge? { nil }
  public func combination(of deltas: DeltasToMerge) throws -> Combination? { nil }
  public func decomposition(of sum: SumToCut, rank: Int) throws -> Decomposition? { nil }
}

/// What several deltas of one weight become.
public enum Combination: Sendable {
  /// Their weighted sum with each adapter's part multiplied once more, in the order of `DeltasToMerge.members`.
  case scaled([Double])
  /// up · down and something outside: a part that no leading component has, of which only ‖·‖²_F is known.
  case factors(up: Matrix, down: Matrix, outside: Double)
}

/// A weighted sum of several deltas, reduced to its core.
public struct SumToCut {
  /// All terms with their strengths, in factors.
  public let delta: DeltaSum
  /// For each term of the delta, which adapter it is from: an adapter may have a module in parts.
  public let sources: [Int]
  /// The same sum reduced to a small matrix, from which norms and singular values come.
  public let core: ProductCore
}

/// Keeps the sum's strongest directions: no other choice of as many has a smaller error.
public struct LeadingComponents: MergeMethod {
  /// It has no settings.
  public init() {}

  /// As users and recipes write it: `svd`.
  public var name: String { "svd" }
  /// Always.
  public var isUsual: Bool { true }
}
