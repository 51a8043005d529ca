import Files
import Foundation
import JSON
import Platform

/// The output of many audits: a folder for each row, beside it in `.rows` what was audited, and tables.
///
/// A row's record is written first, with the hash of the report that belongs to it, and then its folder is put in place. So
/// a record with its report is a whole result, whenever a run was stopped.
public struct AuditBatchFolder: Sendable {
  /// As it was given, without a slash at its end.
  public let path: String
  private var records: String { "\(path)/.rows" }

  /// - Throws: `FileError.notWritable` for a folder that cannot be made.
  public init(_ path: String) throws {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    if !FolderEntry.isFolder(self.path) { try StagedFolder.checkDestination(self.path) }
    try Self.make(self.path)
    try Self.make(records)
  }

  // MARK: Results

  /// What is known of a row; `nil` for one that was never audited.
  func record(of name: String) -> AuditRowRecord? {
    guard let bytes = FileManager.default.contents(atPath: recordFile(of: name)) else { return nil }
    return try? AuditRowRecord(jsonText: bytes)
  }

  /// What an earlier run found for the same inputs; `nil` where there is nothing, or not its report.
  func result(of name: String, for inputs: AuditRowInputs) -> AuditRow? {
    guard let record = record(of: name), record.inputs == inputs else { return nil }
    let isWhole = record.row.error != nil || reportHash(in: place(of: name)) == record.reportHash
    return isWhole ? record.row : nil
  }

  /// Fails when a row's folder is there and no run of this kind wrote it, or when something else has come into it.
  ///
  /// - Parameters:
  ///   - overwriting: whether the report of any audit may be replaced.
  ///   - files: what belongs to the report of an audit in a folder; `nil` where there is none.
  func checkPlace(of name: String, overwriting: Bool, files: (String) throws -> Set<String>?) throws {
    let place = place(of: name)
    guard FileManager.default.fileExists(atPath: place) else { return }
    guard overwriting || FileManager.default.fileExists(atPath: recordFile(of: name)),
      try files(place) != nil
    else { throw AuditBatchError(.foreign, path: place) }
  }

  /// Notes that a row could not be audited. A report of an earlier run stays, but does not count as a result any more.
  func note(_ row: AuditRow, inputs: AuditRowInputs) throws {
    try write(AuditRowRecord(inputs: inputs, row: row, reportHash: nil))
  }

  /// Where a row's report goes, in the place of an earlier one.
  func place(of name: String) -> String { "\(path)/\(name)" }

  /// Gives a row's report its name.
  func publish(_ report: StagedFolder, _ row: AuditRow, inputs: AuditRowInputs) throws {
    let record = try file(
      of: AuditRowRecord(inputs: inputs, row: row, reportHash: reportHash(in: report.path)))
    try Publication.publish([record, report])
  }

  private func recordFile(of name: String) -> String { "\(records)/\(name).json" }

  private func write(_ record: AuditRowRecord) throws { try file(of: record).commit() }

  private func file(of record: AuditRowRecord) throws -> TemporaryFile {
    let file = try TemporaryFile(for: recordFile(of: record.row.name), overwriting: true)
    try file.write(record.jsonText())
    return file
  }

  private func reportHash(in folder: String) -> String? {
    (try? MappedFile(path: "\(folder)/report.json", isInput: false)).map { ContentHash.sha256($0.bytes) }
  }

  // MARK: Folders

  /// Makes a folder where there is none. Shards may do so at the same time.
  static func make(_ path: String) throws {
    guard mkdir(path, 0o777) == 0 || errno == EEXIST && FolderEntry.isFolder(path) else {
      throw FileError(.notWritable(reason: systemReason()), path: path)
    }
  }
}
