public import Audit
import Tensors

extension AuditReport {
  /// What a later audit compares itself with.
  public var earlier: EarlierAudit {
    EarlierAudit(
      conditions: recipe.conditions,
      values: checks.compactMap { check in check.value.map { (check.name, $0) } })
  }
}

extension AuditReport.Check {
  init(_ check: EarlierComparison.Check) {
    let own = check.check
    self.init(
      name: check.name, title: "\(own.measure.title), against the earlier audit", value: own.value,
      limit: check.limit, isLeast: own.measure.isLeast, pass: check.passes, null: own.null, worst: own.worst,
      meaning: "The earlier audit had \(Numbers.short(check.was)).",
      advice: check.passes ? "" : "Find out what changed since: both reports name their files' hashes.")
  }
}
