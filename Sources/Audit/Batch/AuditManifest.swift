public import Factoring
import Files
import Foundation

/// The rows of many audits: from a table, or from a folder with pairs of files.
public struct AuditManifest {
  /// An audit of the many: its name and what it compares.
  public struct Row: Equatable, Sendable {
    /// Of its folder in the output.
    public var name: String
    /// What is compared. Paths of a table that do not begin at the root are those beside the table.
    public var pair: AuditPair

    /// - Parameter name: of a folder, without slashes; no other row may have it.
    public init(name: String, pair: AuditPair) { (self.name, self.pair) = (name, pair) }
  }

  private enum Column: String, CaseIterable { case name, base, before, after, prompts }
  static let columnList = Column.allCases.map(\.rawValue).joined(separator: ",")

  /// In the order of the table, or of the names in the folder; at least one.
  public let rows: [Row]

  /// Reads names only; whether the files of a row are there is found out when it is audited.
  ///
  /// - Parameters:
  ///   - path: a CSV file, or a folder with `before` and `after` in it.
  ///   - base: for rows that name none.
  ///   - adapter: reads an adapter with its strength; `nil` for a text that is none.
  /// - Throws: `FileError.missing` and its like, `AuditBatchError`.
  public init(path: String, base: String?, adapter: (String) -> AdapterInput?) throws {
    if FolderEntry.isFolder(path) {
      rows = try Self.pairs(
        inFolder: path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path, base: base)
    } else {
      rows = try Self.rows(of: CSVTable(path: path), path: path, base: base, adapter: adapter)
    }
    guard !rows.isEmpty else { throw AuditBatchError(.noRows, path: path) }
  }

  // MARK: From a table

  private static func rows(
    of table: CSVTable, path: String, base: String?, adapter: (String) -> AdapterInput?
  ) throws -> [Row] {
    var places: [Column: Int] = [:]
    for (place, title) in table.header.enumerated() {
      guard let column = Column(rawValue: title) else { throw AuditBatchError(.unknownColumn(title), path: path) }
      guard places.updateValue(place, forKey: column) == nil else {
        throw AuditBatchError(.repeatedColumn(title), path: path)
      }
    }
    for column in [Column.name, .before, .after] where places[column] == nil {
      throw AuditBatchError(.noColumn(column.rawValue), path: path)
    }
    var names = AuditRowNames(path: path)
    let folder = (path as NSString).deletingLastPathComponent
    return try table.rows.map { row in
      func field(_ column: Column) -> String? {
        places[column].map { row.fields[$0] }.flatMap { $0.isEmpty ? nil : $0 }
      }
      func place(of file: String) -> String { (folder as NSString).appendingPathComponent(file) }
      guard let name = field(.name) else { throw AuditBatchError(.noName(row: row.number), path: path) }
      try names.claim(name, row: row.number)
      func files(_ column: Column) throws -> [AdapterInput] {
        try (field(column) ?? "").split(separator: ";", omittingEmptySubsequences: false).map { part in
          let text = part.trimmingCharacters(in: .whitespaces)
          guard !text.isEmpty else {
            throw AuditBatchError(.nothing(column: column.rawValue, row: row.number, name: name), path: path)
          }
          guard var input = adapter(text) else {
            throw AuditBatchError(.entry(text, column: column.rawValue, row: row.number, name: name), path: path)
          }
          if !input.path.hasPrefix("/") { input.path = place(of: input.path) }
          return input
        }
      }
      func file(_ column: Column) -> String? { field(column).map { $0.hasPrefix("/") ? $0 : place(of: $0) } }
      guard let base = file(.base) ?? base else {
        throw AuditBatchError(.noBase(row: row.number, name: name), path: path)
      }
      return Row(
        name: name,
        pair: AuditPair(base: base, before: try files(.before), after: try files(.after), prompts: file(.prompts)))
    }
  }

  // MARK: From a folder

  /// Files and folders of the same name in `before` and `after`, in the names' order. One without its other half is a
  /// row all the same, whose audit will miss a file.
  private static func pairs(inFolder folder: String, base: String?) throws -> [Row] {
    let halves = try ["before", "after"].map { half -> [String] in
      let path = "\(folder)/\(half)"
      let names = try? FileManager.default.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") }
      guard let names, !names.isEmpty else { throw AuditBatchError(.noPairs(folder: half), path: folder) }
      return names
    }
    var names = AuditRowNames(path: folder)
    return try Set(halves.joined()).sorted().enumerated().map { index, file in
      try names.claim(file.fileStem, row: index + 1)
      guard let base else { throw AuditBatchError(.noBase(row: index + 1, name: file), path: folder) }
      return Row(
        name: file.fileStem,
        pair: AuditPair(
          base: base, before: [AdapterInput(path: "\(folder)/before/\(file)")],
          after: [AdapterInput(path: "\(folder)/after/\(file)")]))
    }
  }
}

/// The names of rows, of which each becomes a folder of its own in the output and never leaves it.
private struct AuditRowNames {
  /// Of the manifest, for messages.
  let path: String
  /// Rows by their names as a file system without capital letters has them.
  private var rows: [String: Int] = [:]

  init(path: String) { self.path = path }

  mutating func claim(_ name: String, row: Int) throws {
    if let reason = Self.fault(of: name) { throw AuditBatchError(.name(name, row: row, reason: reason), path: path) }
    if let first = rows.updateValue(row, forKey: name.precomposedStringWithCanonicalMapping.lowercased()) {
      throw AuditBatchError(.repeatedName(name, row: row, first: first), path: path)
    }
  }

  private static func fault(of name: String) -> String? {
    let lowercased = name.lowercased()
    if name.contains("/") || name.contains("\\") { return "it has a slash" }
    if name.hasPrefix(".") { return "it begins with a dot" }
    if name.utf8.count > 200 { return "it is longer than 200 bytes" }
    if name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
      return "it has control characters"
    }
    if lowercased == "index.md" || lowercased.hasPrefix("results") && lowercased.hasSuffix(".csv") {
      return "the batch has a file of that name"
    }
    return nil
  }
}
