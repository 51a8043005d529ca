/// A text that an audit's report is written as. Each stands beside what makes its text, and in `all`.
public struct AuditFormat: Sendable {
  /// In the report's folder.
  public let fileName: String
  private let make: @Sendable (AuditReport, _ pictures: [String: [UInt8]]) throws -> String

  init(
    _ fileName: String, _ make: @escaping @Sendable (AuditReport, _ pictures: [String: [UInt8]]) throws -> String
  ) {
    (self.fileName, self.make) = (fileName, make)
  }

  /// - Parameter pictures: the bytes of the PNG files that the report names, by their paths in the report.
  /// - Throws: what the format throws; none does because of the report.
  public func text(of report: AuditReport, pictures: [String: [UInt8]]) throws -> String { try make(report, pictures) }

  /// In the order in which they are made: JSON, the page, Markdown, and tables of checks, weights and pictures.
  public static let all: [AuditFormat] = [.json, .page, .markdown, .checks, .targets, .pictures]

  static let json = AuditFormat("report.json") { report, _ in try report.jsonText() }
}
