/// The checks of an audit against the same ones of an earlier audit.
public struct EarlierComparison: Sendable {
  /// A value must not be worse than it was, by more than a little or by more than the noise.
  public struct Check: Sendable {
    /// Today's.
    public let check: AuditCheck
    /// The earlier audit's value.
    public let was: Double
    /// What today's value may be at most, or at least where larger is better: a twentieth worse, or within the noise.
    public let limit: Double

    init(_ check: AuditCheck, was: Double) {
      (self.check, self.was, limit) = (check, was, Self.limit(for: was, of: check))
    }

    /// In reports: `against.weights.scale`.
    public var name: String { EarlierComparison.prefix + check.measure.name }

    /// Whether today's value keeps `limit`.
    public var passes: Bool { check.measure.keeps(limit, check.value) }

    /// What a value may be today that was `was`: a twentieth worse, or within the noise.
    private static func limit(for was: Double, of check: AuditCheck) -> Double {
      let measure = check.measure
      guard measure.isLeast else { return max(was * 1.05 + 1e-9, min(check.null ?? 0, check.limit)) }
      guard was.isFinite else { return check.null ?? check.limit }
      // What is missing to perfect likeness; decibels have no perfect value.
      let perfect = measure.perfect ?? was + 20
      let limit = was - 0.05 * (perfect - was)
      return min(limit, check.null ?? limit)
    }
  }

  static let prefix = "against."

  /// One for each measure that both audits have, in the order of the earlier one.
  public let checks: [Check]

  /// Of every check that the earlier audit has too, in its order.
  init(_ checks: [AuditCheck], with earlier: EarlierAudit) {
    self.checks = earlier.values.compactMap { name, was in
      checks.first { $0.measure.name == name }.map { Check($0, was: was) }
    }
  }

  /// Those that do not pass.
  public var worse: [Check] { checks.filter { !$0.passes } }
}

extension AuditResult {
  /// Compares this audit with an earlier one, which becomes part of its verdict.
  ///
  /// - Parameters:
  ///   - conditions: what this audit was made under.
  ///   - path: of the earlier report, for the error.
  /// - Throws: `AuditError.otherAudit` for numbers that mean something else.
  public mutating func compare(
    with earlier: EarlierAudit, under conditions: AuditConditions, path: String
  ) throws(AuditError) {
    if let reason = conditions.difference(from: earlier.conditions) {
      throw AuditError(.otherAudit(reason: reason), path: path)
    }
    self.earlier = EarlierComparison(checks, with: earlier)
  }
}
