import Audit
import Files
import Foundation
import Platform
import Reports

/// The output of many audits: a folder for each row, beside it in `.rows` what was audited, and tables.
///
/// A row's record is written first, with the hash of the report that belongs to it, and then its folder is put in place. So
/// a record with its report is a whole result, whenever a run was stopped.
struct AuditBatchFolder {
  let path: String
  private var records: String { "\(path)/.rows" }

  /// - Throws: `FileError.notWritable` for a folder that cannot be made.
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

  /// Fails when a row's folder is there and no run of this kind wrote it, or when something else has come into it.
  ///
  /// - Parameter overwriting: whether the report of any audit may be replaced.
  func checkPlace(of name: String, overwriting: Bool) throws {
    let place = "\(path)/\(name)"
    guard FileManager.default.fileExists(atPath: place) else { return }
    guard overwriting || FileManager.default.fileExists(atPath: recordFile(of: name)),
      try AuditOutput.files(ofReportIn: place) != nil
    else { throw AuditBatchError(.foreign, path: place) }
  }

  /// Notes that a row could not be audited. A report of an earlier run stays, but does not count as a result any more.
  func note(_ row: AuditBatchReport.Row, inputs: AuditRowInputs) throws {
    try write(AuditRowRecord(inputs: inputs, row: row, reportHash: nil))
  }

  /// Where a row's report goes, in the place of an earlier one.
  func output(of name: String, in workshop: AuditWorkingFolder) throws -> AuditOutput {
    try AuditOutput("\(path)/\(name)", overwriting: true, in: workshop.path)
  }

  /// Gives a row's report its name.
  func publish(_ report: StagedFolder, _ row: AuditBatchReport.Row, inputs: AuditRowInputs) throws {
    let record = try file(
      of: AuditRowRecord(inputs: inputs, row: row, reportHash: reportHash(in: report.path)))
    try Publication.publish([record, report])
  }

  /// The report for people in a row's folder, by its name.
  func reportFile(in folder: String) -> String? {
    ["report.html", "report.md", "report.json"].first { FileManager.default.fileExists(atPath: "\(folder)/\($0)") }
  }

  private func recordFile(of name: String) -> String { "\(records)/\(name).json" }

  private func write(_ record: AuditRowRecord) throws { try file(of: record).commit() }

  private func file(of record: AuditRowRecord) throws -> TemporaryFile {
    try sideFile(record.jsonText(), for: recordFile(of: record.row.name), overwriting: true)
  }

  private func reportHash(in folder: String) -> String? {
    (try? MappedFile(path: "\(folder)/report.json", isInput: false)).map { ContentHash.sha256($0.bytes) }
  }

  // MARK: Folders

  static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// Makes a folder where there is none. Shards may do so at the same time.
  static func make(_ path: String) throws {
    guard mkdir(path, 0o777) == 0 || errno == EEXIST && isFolder(path) else {
      throw FileError(.notWritable(reason: systemReason()), path: path)
    }
  }
}

/// Where a shard makes its reports, until they are complete. Only one run at a time has it; when it ends nothing is left.
final class AuditWorkingFolder {
  let path: String
  private let lock: Int32
  private let registrations: [Interruption.Token]

  /// Takes the folder, and clears what a run left there that was killed.
  ///
  /// - Throws: `AuditBatchError.busy`, `FileError.notWritable`.
  init(in folder: AuditBatchFolder, shard: AuditShard?) throws {
    let path = "\(folder.path)/.working\(shard.map { "-\($0.fileText)" } ?? "")"
    // A folder that is another run's must stay as it is: there is nothing to take back before it is this one's.
    let lock = try Self.lock(path, output: folder.path)
    (self.path, self.lock) = (path, lock)
    registrations = [path, "\(path)/lock"].map { Interruption.register($0) }
    for name in try FileManager.default.contentsOfDirectory(atPath: path) where name != "lock" {
      try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }
  }

  /// - Returns: the lock's descriptor.
  private static func lock(_ path: String, output: String) throws -> Int32 {
    let file = "\(path)/lock"
    while true {
      try AuditBatchFolder.make(path)
      let lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      if lock < 0, errno == ENOENT { continue }
      guard lock >= 0 else { throw FileError(.notWritable(reason: systemReason()), path: file) }
      // A file system without locks is no reason to stop: they only catch a shard that is started twice.
      if flock(lock, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        close(lock)
        throw AuditBatchError(.busy, path: output)
      }
      // The run that had it may have ended just now, and removed it.
      var own = stat(), current = stat()
      if fstat(lock, &own) == 0, stat(file, &current) == 0, own.st_ino == current.st_ino, own.st_dev == current.st_dev {
        return lock
      }
      close(lock)
    }
  }

  deinit {
    Interruption.uninterrupted {
      unlink("\(path)/lock")
      rmdir(path)
      close(lock)
      for registration in registrations { Interruption.forget(registration) }
    }
  }
}
