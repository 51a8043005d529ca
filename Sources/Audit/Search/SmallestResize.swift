public import Checkpoints
public import Factoring

/// Looks for the smallest file of an adapter that is good enough: writes one, measures it, and halves what is left to
/// choose from.
public struct SmallestResize {
  /// A file that was written and measured.
  public struct Attempt: Sendable {
    /// Of all targets together.
    public let components: Int
    /// The size of the file of tensors.
    public let bytes: Int
    /// Of the weights, measured on what was written.
    public let relativeError: Double
    /// What the gauge measured, in its measure's unit.
    public let value: Double
    /// Whether `value` keeps the limit of the search.
    public let passes: Bool

    public init(components: Int, bytes: Int, relativeError: Double, value: Double, passes: Bool) {
      (self.components, self.bytes, self.relativeError) = (components, bytes, relativeError)
      (self.value, self.passes) = (value, passes)
    }
  }

  private let decomposed: DecomposedPlan
  private let limit: AuditLimit
  private let base: Checkpoint
  private let gauge: AuditGauge
  private let threads: Int

  /// - Parameters:
  ///   - decomposed: of one adapter.
  ///   - gauge: of the limit's measure, for the adapter as it is.
  public init(_ decomposed: DecomposedPlan, limit: AuditLimit, base: Checkpoint, gauge: AuditGauge, threads: Int) {
    precondition(gauge.measure == limit.measure, "the gauge is of another measure")
    (self.decomposed, self.limit, self.base, self.gauge) = (decomposed, limit, base, gauge)
    self.threads = threads
  }

  /// The same search for another decomposition of the same adapter.
  public func trying(_ decomposed: DecomposedPlan) -> SmallestResize {
    SmallestResize(decomposed, limit: limit, base: base, gauge: gauge, threads: threads)
  }

  /// - Parameter progress: told of each attempt.
  /// - Returns: the rule for the smallest file, and all that was tried in its order.
  /// - Throws: `AuditError.noneGoodEnough` when not even all components are, and what writing and rendering throw.
  public func search(progress: (Attempt) throws -> Void = { _ in }) throws -> (rule: RankRule, attempts: [Attempt]) {
    var attempts: [Attempt] = []
    let count = decomposed.componentCount
    let found = try smallestPassing(in: min(1, count)...max(1, count)) { components in
      let attempt = try attempt(components)
      attempts.append(attempt)
      try progress(attempt)
      return attempt.passes
    }
    guard let found else {
      throw AuditError(
        .noneGoodEnough(
          limit: limit.text, best: attempts[0].value,
          dtype: decomposed.plan.targets.first?.dtype.rawValue.lowercased() ?? ""),
        path: decomposed.plan.adapters[0].path)
    }
    return (.components(found), attempts)
  }

  private func attempt(_ components: Int) throws -> Attempt {
    let file = try TemporaryAdapter(isFolder: decomposed.plan.writesFolder)
    defer { file.remove() }
    let allocation = try decomposed.allocation(rule: .components(components))
    let written = try decomposed.write(allocation, to: file.path, overwriting: false, threads: threads)
    let value = try gauge.value(of: AuditSide([.init(path: file.path)], base: base))
    return Attempt(
      components: components, bytes: written.bytes, relativeError: written.relativeError, value: value,
      passes: limit.isKept(by: value))
  }
}

extension [SmallestResize.Attempt] {
  /// The smallest file that was good enough.
  ///
  /// - Precondition: one was.
  public var passing: Element { filter(\.passes).min { $0.bytes < $1.bytes }! }
}

/// The smallest number of `range` that passes, found by bisection: right when everything above a number that passes
/// passes too.
///
/// - Parameter passes: asked about the largest first, and then about ⌈log₂⌉ of the count of numbers.
/// - Returns: `nil` when not even the largest passes.
public func smallestPassing(
  in range: ClosedRange<Int>, _ passes: (Int) throws -> Bool
) rethrows -> Int? {
  guard try passes(range.upperBound) else { return nil }
  var (low, high) = (range.lowerBound, range.upperBound)
  while low < high {
    let middle = low + (high - low) / 2
    if try passes(middle) { high = middle } else { low = middle + 1 }
  }
  return high
}
