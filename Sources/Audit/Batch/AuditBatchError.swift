/// Why many audits could not be begun, or why a row of them could not be made.
public struct AuditBatchError: Error, CustomStringConvertible {
  /// What was found. Rows are counted from 1: those of a table as a spreadsheet does, its header being the first.
  public enum Kind: Sendable {
    // Of the table
    case notText
    case noHeader
    case quotes(row: Int)
    case openQuote(row: Int)
    case controlCharacter(row: Int)
    case fieldCount(row: Int, expected: Int, found: Int)
    case unknownColumn(String)
    case repeatedColumn(String)
    case noColumn(String)
    case noRows
    // Of a row
    case noName(row: Int)
    case name(String, row: Int, reason: String)
    case repeatedName(String, row: Int, first: Int)
    case nothing(column: String, row: Int, name: String)
    case entry(String, column: String, row: Int, name: String)
    case noBase(row: Int, name: String)
    // Of folders
    case noPairs(folder: String)
    /// The output has something of that name which no such run wrote.
    case foreign
    /// A folder to be replaced has a file that no audit wrote.
    case foreignFile(String)
    /// A folder to be replaced has a `report.json` that no audit wrote.
    case noReport
    case busy
  }

  /// What went wrong.
  public let kind: Kind
  /// Of the manifest, or of the folder that something is wrong with.
  public let path: String

  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The path and the message, as people get to read them.
  public var description: String { "\(path): \(message)" }

  /// The message without the path.
  public var message: String {
    switch kind {
    case .notText: "manifest: expected UTF-8 text, found other bytes; hint: save it as CSV UTF-8"
    case .noHeader: "header: expected \(AuditManifest.columnList), found nothing"
    case .quotes(let row):
      "row \(row): expected quotes around a whole field and doubled inside of it, found others; hint: \"a \"\"b\"\" c\""
    case .openQuote(let row): "row \(row): expected the end of a quoted field, found the end of the file"
    case .controlCharacter(let row):
      "row \(row): expected names and paths on one line, found a control character or an end of line"
    case .fieldCount(let row, let expected, let found):
      "row \(row): expected \(expected) fields as in the header, found \(found)"
    case .unknownColumn(let name):
      "header: \(name): expected only the columns \(AuditManifest.columnList), found another; hint: columns are "
        + "separated by commas"
    case .repeatedColumn(let name): "header: \(name): expected one such column, found two"
    case .noColumn(let name): "header: expected a column \(name), found none"
    case .noRows: "manifest: expected at least one row, found none"
    case .noName(let row): "row \(row): name: expected one, found nothing"
    case .name(let name, let row, let reason):
      "row \(row): name: expected the name of a folder, found \(name.debugDescription): \(reason)"
    case .repeatedName(let name, let row, let first):
      "row \(row): name: expected one that no other row has, found \(name.debugDescription) as in row \(first); hint: "
        + "small and capital letters are the same in a folder's name on some systems"
    case .nothing(let column, let row, let name):
      "row \(row), \(name): \(column): expected FILE@STRENGTH, found nothing; hint: several are separated by one ;"
    case .entry(let entry, let column, let row, let name):
      "row \(row), \(name): \(column): expected FILE@STRENGTH, found \(entry.debugDescription)"
    case .noBase(let row, let name):
      "row \(row), \(name): base: expected a checkpoint, found nothing"
    case .noPairs(let folder): "expected a folder \(folder) with files, found none"
    case .foreign:
      "expected no such folder or the report of an earlier run, found another"
    case .foreignFile(let name):
      "\(name): expected only the files of an earlier report, found another; hint: move it elsewhere, or give a new name"
    case .noReport: "report.json: expected the report of an audit, found something else; hint: give a new name"
    case .busy: "another run works on this shard"
    }
  }
}
