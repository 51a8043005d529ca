public import JSON

/// One audit of many in a few numbers, or why there is none.
public struct AuditRow: Codable, Sendable {
  /// What was looked at, with its limit.
  public struct Check: Codable, Sendable {
    /// `weights.relative_error`
    public var name: String
    /// `nil` when it could not be measured.
    @Explicit public var value: Double?
    /// What the value may be at most, or at least where larger is better.
    public var limit: Double
    /// Whether the value keeps the limit or is within the noise.
    public var pass: Bool

    public init(name: String, value: Double?, limit: Double, pass: Bool) {
      (self.name, self.limit, self.pass) = (name, limit, pass)
      self.value = value
    }
  }

  /// As the manifest has it: also that of the report's folder in the output.
  public var name: String
  /// `within noise`, `visible but small` or `different`; `nil` where there is no audit.
  @Explicit public var verdict: String?
  /// Whether all checks pass; `nil` where there is no audit.
  @Explicit public var passed: Bool?
  /// In the order of reports; empty where there is no audit.
  public var checks: [Check]
  /// The report for people, its path beside the tables.
  @Explicit public var report: String?
  /// On one line.
  @Explicit public var error: String?
  /// It took, in this run or in the earlier one.
  public var seconds: Double
  /// Whether an earlier run's result still holds.
  public var isResumed: Bool

  /// An audit.
  public init(name: String, verdict: AuditVerdict, passed: Bool, checks: [Check], report: String?, seconds: Double) {
    (self.name, self.checks, self.seconds, isResumed) = (name, checks, seconds, false)
    self.verdict = verdict.rawValue
    self.passed = passed
    self.report = report
    error = nil
  }

  /// A row without an audit.
  public init(name: String, error: String, seconds: Double) {
    (self.name, self.seconds, isResumed, checks) = (name, seconds, false, [])
    verdict = nil
    passed = nil
    report = nil
    self.error = error.split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  /// The value of a measure; `nil` where it was not measured.
  public func value(of measure: AuditMeasure) -> Double? { checks.first { $0.name == measure.name }?.value }
}

extension AuditResult {
  /// All checks as rows of many audits have them, those against an earlier audit too.
  public var rowChecks: [AuditRow.Check] {
    checks.map { .init(name: $0.measure.name, value: $0.value, limit: $0.limit, pass: $0.passes) }
      + (earlier?.checks ?? []).map { .init(name: $0.name, value: $0.check.value, limit: $0.limit, pass: $0.passes) }
  }
}
