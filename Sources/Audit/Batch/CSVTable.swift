import Files
import Foundation
import SwiftCSV

/// A CSV file with a header: rows of as many fields as it has columns.
///
/// SwiftCSV takes the text apart. What it lets pass in silence is looked for here: a quote that is never closed, rows that
/// are too short or too long, doubled quotes where no quoted field is, and characters that no name or path has.
struct CSVTable {
  struct Row {
    /// As a spreadsheet counts: the header is row 1.
    let number: Int
    /// Without spaces around them.
    let fields: [String]
  }

  let header: [String]
  /// Without those that are empty.
  let rows: [Row]

  /// - Throws: `FileError.missing` and its like for files, `AuditBatchError` for what is no such table.
  init(path: String) throws {
    let bytes = try MappedFile(path: path).bytes
    guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw AuditBatchError(.notText, path: path)
    }
    var rows = try Self.rows(of: text, path: path)
    guard let header = rows.first else { throw AuditBatchError(.noHeader, path: path) }
    rows.removeFirst()
    for row in rows where row.fields.count != header.fields.count {
      throw AuditBatchError(
        .fieldCount(row: row.number, expected: header.fields.count, found: row.fields.count), path: path)
    }
    (self.header, self.rows) = (header.fields, rows)
  }

  private static func rows(of text: String, path: String) throws -> [Row] {
    // A last line that must come back alone: it does not where a quote is open. It also ends a last line without an end.
    let mark = "end"
    var lines: [[String]] = []
    do {
      let csv = try CSV<Enumerated>(string: text + "\n" + mark, delimiter: .comma, loadColumns: false, rowLimit: 0)
      try csv.enumerateAsArray(startAt: 0, rowLimit: nil) { lines.append($0) }
    } catch is CSVParseError {
      throw AuditBatchError(.quotes(row: lines.count + 1), path: path)
    }
    guard lines.popLast() == [mark] else { throw AuditBatchError(.openQuote(row: lines.count + 1), path: path) }
    var rows: [Row] = []
    for (index, fields) in lines.enumerated() {
      for field in fields where !field.isWritten(in: text) {
        throw AuditBatchError(.quotes(row: index + 1), path: path)
      }
      guard !fields.contains(where: \.hasControlCharacters) else {
        throw AuditBatchError(.controlCharacter(row: index + 1), path: path)
      }
      let trimmed = fields.map { $0.trimmingCharacters(in: .whitespaces) }
      if trimmed.contains(where: { !$0.isEmpty }) { rows.append(Row(number: index + 1, fields: trimmed)) }
    }
    return rows
  }
}

extension String {
  /// Whether a field with quotes in it stands in the file as such fields are written: in quotes, its own doubled.
  fileprivate func isWritten(in text: String) -> Bool {
    !contains("\"") || text.contains("\"\(replacing("\"", with: "\"\""))\"")
  }

  fileprivate var hasControlCharacters: Bool { unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f } }
}
