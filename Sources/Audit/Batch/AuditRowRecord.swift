import JSON

/// What is known of a row that was audited: what it said, and of what. Each has a file of its own.
struct AuditRowRecord: JSONReport, Decodable {
  static let schema = "lathe.audit-row/1"

  var inputs: AuditRowInputs
  var row: AuditRow
  /// Of `report.json`, 64 digits; `nil` for a row that could not be audited.
  @Explicit var reportHash: String?

  init(inputs: AuditRowInputs, row: AuditRow, reportHash: String?) {
    (self.inputs, self.row) = (inputs, row)
    self.reportHash = reportHash
  }
}
