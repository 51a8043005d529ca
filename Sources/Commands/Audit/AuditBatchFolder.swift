import Audit
import Foundation
import Reports
import Safetensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The output of many audits: a folder for each row, beside it in `.rows` what was audited, and tables.
///
/// A row's record is written first, with the hash of the report that belongs to it, and then its folder is put in place. So
/// a record with its report is a whole result, whenever a run was stopped.
struct AuditBatchFolder {
  let path: String
  private var records: String { "\(path)/.rows" }

  /// - Throws: `SafetensorsError.notWritable` for a folder that cannot be made.
  init(_ path: String) throws {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    if !Self.isFolder(self.path) { try StagedFolder.checkDestination(self.path) }
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
  func result(of name: String, for inputs: AuditRowInputs) -> AuditBatchReport.Row? {
    guard let record = record(of: name), record.inputs == inputs else { return nil }
    let isWhole = record.row.error != nil || reportHash(in: "\(path)/\(name)") == record.reportHash
    return isWhole ? record.row : nil
  }

  /// Fails when a row's folder is there and no run of this kind wrote it.
  ///
  /// - Parameter overwriting: whether the report of any audit may be replaced.
  func checkPlace(of name: String, overwriting: Bool) throws {
    let place = "\(path)/\(name)"
    guard FileManager.default.fileExists(atPath: place),
      !FileManager.default.fileExists(atPath: recordFile(of: name)),
      !(overwriting && FileManager.default.fileExists(atPath: "\(place)/report.json"))
    else { return }
    throw AuditBatchError(.foreign, path: place)
  }

  /// Notes that a row could not be audited. A report of an earlier run stays, but does not count as a result any more.
  func note(_ row: AuditBatchReport.Row, inputs: AuditRowInputs) throws {
    try write(AuditRowRecord(inputs: inputs, row: row, reportHash: nil))
  }

  /// Puts a row's report in the place of an earlier one.
  ///
  /// - Parameter report: a folder on the same file system, which is moved.
  func publish(_ report: String, _ row: AuditBatchReport.Row, inputs: AuditRowInputs) throws {
    try write(AuditRowRecord(inputs: inputs, row: row, reportHash: reportHash(in: report)))
    try StagedFolder.move(report, to: "\(path)/\(row.name)")
  }

  /// The report for people in a row's folder, by its name.
  func reportFile(in folder: String) -> String? {
    ["report.html", "report.md", "report.json"].first { FileManager.default.fileExists(atPath: "\(folder)/\($0)") }
  }

  private func recordFile(of name: String) -> String { "\(records)/\(name).json" }

  private func write(_ record: AuditRowRecord) throws {
    try writeSideFile(record.jsonText(), to: recordFile(of: record.row.name), overwriting: true)
  }

  private func reportHash(in folder: String) -> String? {
    (try? MappedFile(path: "\(folder)/report.json")).map { ContentHash.sha256($0.bytes) }
  }

  // MARK: Folders

  static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// Makes a folder where there is none. Shards may do so at the same time.
  static func make(_ path: String) throws {
    guard mkdir(path, 0o777) == 0 || errno == EEXIST && isFolder(path) else {
      throw SafetensorsError(.notWritable(reason: systemReason()), path: path)
    }
  }
}

/// Where a shard makes its reports, until they are complete. Only one run at a time has it; when it ends nothing is left.
final class AuditWorkingFolder {
  private let path: String
  private let lock: Int32
  private var registrations: [Int] = []

  /// Takes the folder, and clears what a run left there that was killed.
  ///
  /// - Throws: `AuditBatchError.busy`, `SafetensorsError.notWritable`.
  init(in folder: AuditBatchFolder, shard: AuditShard?) throws {
    let suffix = shard.map { "-\($0.fileText)" } ?? ""
    path = "\(folder.path)/.working\(suffix)"
    try AuditBatchFolder.make(path)
    let file = "\(path)/lock"
    lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard lock >= 0 else { throw SafetensorsError(.notWritable(reason: systemReason()), path: file) }
    // A file system without locks is no reason to stop: they only catch a shard that is started twice.
    var status = stat()
    let isTaken = flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
    guard !isTaken, fstat(lock, &status) == 0, status.st_nlink > 0 else {
      close(lock)
      throw AuditBatchError(.busy, path: folder.path)
    }
    registrations = [Interruption.register(path), Interruption.register(file)]
    for name in try FileManager.default.contentsOfDirectory(atPath: path) where name != "lock" {
      try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }
  }

  /// Writes a report, and returns its folder.
  func write(_ report: AuditReport, _ result: AuditResult) throws -> String {
    let place = "\(path)/report"
    try AuditOutput(place, overwriting: false).write(report, result)
    return place
  }

  deinit {
    unlink("\(path)/lock")
    rmdir(path)
    close(lock)
    for registration in registrations { Interruption.forget(registration) }
  }
}
