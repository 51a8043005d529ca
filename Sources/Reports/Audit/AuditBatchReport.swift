public import Audit
public import JSON
import Tensors

/// Many audits, each in a few numbers.
public struct AuditBatchReport: JSONReport {
  public static let schema = "lathe.audit-batch/1"

  /// `2/4`; `nil` for all rows.
  @Explicit public var shard: String?
  /// Of the manifest or the shard, in its order.
  public var rows: [AuditRow]
  /// How many audits pass all checks, those of earlier runs too.
  public var passed: Int
  /// How many audits fail a check, those of earlier runs too.
  public var failed: Int
  /// How many rows have no audit, each with its error.
  public var notAudited: Int
  /// How many rows have a result of an earlier run that still holds.
  public var resumed: Int
  /// Of the run.
  public var seconds: Double

  /// Counts the rows by what became of them.
  ///
  /// - Parameters:
  ///   - shard: as `AuditShard.text`; `nil` for all rows.
  ///   - seconds: of this run, without those of earlier ones.
  public init(shard: String?, rows: [AuditRow], seconds: Double) {
    (self.rows, self.seconds) = (rows, seconds)
    passed = rows.count { $0.passed == true }
    failed = rows.count { $0.passed == false }
    notAudited = rows.count { $0.passed == nil }
    resumed = rows.count(where: \.isResumed)
    self.shard = shard
  }
}

// MARK: Text

extension AuditRow {
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
  public static func csvText(_ rows: [AuditRow]) -> String {
    let header = ["name", "verdict", "passed"] + AuditMeasure.all.map(\.name) + ["seconds", "error"]
    return ([header.joined(separator: ",")] + rows.map(\.csvLine)).joined(separator: "\n") + "\n"
  }
}

extension AuditRow {
  /// The row of `csvText`, without an end of line.
  public var csvLine: String {
    let values = AuditMeasure.all.map { value(of: $0).map { "\($0)" } ?? "" }
    let fields =
      [name.csvText, verdict ?? "", passed.map { "\($0)" } ?? ""] + values
      + [Numbers.fixed(seconds, 3), (error ?? "").csvText]
    return fields.joined(separator: ",")
  }
}
