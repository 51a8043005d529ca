import Audit

/// Many audits, each in a few numbers.
public struct AuditBatchReport: JSONReport {
  public static let schema = "lathe.audit-batch/1"

  /// What was looked at, with its limit.
  public struct Check: Codable, Sendable {
    /// `weights.relative_error`
    public var name: String
    /// `nil` when it could not be measured.
    @Explicit public var value: Double?
    public var limit: Double
    public var pass: Bool
  }

  /// One audit, or why there is none.
  public struct Row: Codable, Sendable {
    public var name: String
    /// `within noise`, `visible but small` or `different`; `nil` where there is no audit.
    @Explicit public var verdict: String?
    @Explicit public var passed: Bool?
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
    public init(name: String, report: AuditReport, seconds: Double) {
      (self.name, self.seconds, isResumed) = (name, seconds, false)
      checks = report.checks.map { Check(name: $0.name, value: $0.value, limit: $0.limit, pass: $0.pass) }
      verdict = report.verdict
      passed = report.passed
      self.report = nil
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
  }

  /// `2/4`; `nil` for all rows.
  @Explicit public var shard: String?
  public var rows: [Row]
  public var passed: Int
  public var failed: Int
  public var notAudited: Int
  public var resumed: Int
  /// Of the run.
  public var seconds: Double

  public init(shard: String?, rows: [Row], seconds: Double) {
    (self.rows, self.seconds) = (rows, seconds)
    passed = rows.count { $0.passed == true }
    failed = rows.count { $0.passed == false }
    notAudited = rows.count { $0.passed == nil }
    resumed = rows.count(where: \.isResumed)
    self.shard = shard
  }
}

// MARK: Text

extension AuditBatchReport.Row {
  /// One line: `style: passed, within noise, 7.1 s`
  public var text: String {
    if let error { return "\(name): not audited: \(error)" }
    let faults = self.faults.isEmpty ? "" : " (\(self.faults))"
    let time = isResumed ? "resumed" : "\(Numbers.fixed(seconds, 1)) s"
    return "\(name): \(passed == true ? "passed" : "failed"), \(verdict ?? "")\(faults), \(time)"
  }

  /// The first check that fails, and how many others: `weights.relative_error 0.61, limit 0.3, and 2 more`
  var faults: String {
    let failing = checks.filter { !$0.pass }
    guard let first = failing.first else { return "" }
    let value = first.value.map(Numbers.short) ?? "not measured"
    let others = failing.count > 1 ? ", and \(failing.count - 1) more" : ""
    return "\(first.name) \(value), limit \(Numbers.short(first.limit))\(others)"
  }
}

extension AuditBatchReport {
  /// One line: `12 audits: 9 passed, 2 failed, 1 not audited; 5 resumed; 12.3 s`
  public var total: String {
    let shard = self.shard.map { "shard \($0): " } ?? ""
    return "\(shard)\(rows.count) \(rows.count == 1 ? "audit" : "audits"): \(passed) passed, \(failed) failed, "
      + "\(notAudited) not audited; \(resumed > 0 ? "\(resumed) resumed; " : "")\(Numbers.fixed(seconds, 1)) s"
  }
}

// MARK: Tables

extension AuditBatchReport {
  /// A table of rows with all checks by their names; empty where one was not measured.
  public static func csvText(_ rows: [Row]) -> String {
    let header = ["name", "verdict", "passed"] + AuditMeasure.allCases.map(\.rawValue) + ["seconds", "error"]
    return ([header.joined(separator: ",")] + rows.map(\.csvLine)).joined(separator: "\n") + "\n"
  }
}

extension AuditBatchReport.Row {
  /// The row of `csvText`, without an end of line.
  public var csvLine: String {
    let values = AuditMeasure.allCases.map { measure in
      checks.first { $0.name == measure.rawValue }?.value.map { "\($0)" } ?? ""
    }
    let fields =
      [name.csvText, verdict ?? "", passed.map { "\($0)" } ?? ""] + values
      + [Numbers.fixed(seconds, 3), (error ?? "").csvText]
    return fields.joined(separator: ",")
  }
}
