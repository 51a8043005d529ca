public import LinearAlgebra
public import Spectra

/// How the sum of several adapters' deltas of one weight is cut to fewer components than it has.
///
/// A sum of which nothing is cut is the same by all of them.
public protocol MergeMethod: Sendable {
  /// What users call it.
  var name: String { get }

  /// Whether it is what is done without a word, so that nothing needs to say it.
  var isUsual: Bool { get }

  /// Whether the loss is shared, so that weak adapters do not bear all of it.
  var sharesLoss: Bool { get }

  /// The components that are kept.
  ///
  /// - Parameter rank: how many, fewer than the sum has.
  /// - Returns: `nil` for the leading ones of the sum itself, which are its best approximation.
  func decomposition(of sum: SumToCut, rank: Int) throws -> Decomposition?
}

extension MergeMethod {
  public var isUsual: Bool { false }
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
  /// Never: each direction of the sum is kept or lost as a whole.
  public var sharesLoss: Bool { false }
  /// Always `nil`, for the sum's own leading components.
  public func decomposition(of sum: SumToCut, rank: Int) -> Decomposition? { nil }
}
