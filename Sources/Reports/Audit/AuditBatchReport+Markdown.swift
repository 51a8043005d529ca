import Audit
import Tensors

extension AuditBatchReport {
  /// A page with a table that leads to all reports: what failed first, then what has no audit.
  public var markdown: String {
    let shown = AuditMeasure.all.compactMap { measure in measure.shortTitle.map { (title: $0, measure: measure) } }
    let groups = [
      ("failed", rows.filter { $0.passed == false }), ("not audited", rows.filter { $0.passed == nil }),
      ("passed", rows.filter { $0.passed == true }),
    ]
    var lines = [
      "# Audits", "", "\(rows.count) rows: \(passed) passed, \(failed) failed, \(notAudited) not audited.", "",
      "| name | result | verdict | \(shown.map(\.title).joined(separator: " | ")) | note |",
      "|---|---|---|\(shown.map { _ in "---:|" }.joined())---|",
    ]
    for (title, rows) in groups {
      for row in rows {
        let values = shown.map { row.value(of: $0.measure).map(Numbers.short) ?? "" }
        let name = row.report.map { "[\(row.name.markdown)](\($0.markdownTarget))" } ?? row.name.markdown
        let cells = [name, title, row.verdict ?? ""] + values + [(row.error ?? row.faults).markdown]
        lines.append("| " + cells.joined(separator: " | ") + " |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
