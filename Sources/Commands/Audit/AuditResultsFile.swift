import Audit
import Files
import Foundation
import Platform
import Reports

/// A table that grows by a line with each audit. Only one run writes it, and begins it anew from what is already known.
final class AuditResultsFile {
  private let path: String
  private let descriptor: Int32

  /// - Throws: `FileError.notWritable`.
  init(_ path: String, beginningWith rows: [AuditRow]) throws {
    self.path = path
    try writeSideFile(AuditBatchReport.csvText(rows), to: path, overwriting: true)
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(.notWritable(reason: systemReason()), path: path) }
  }

  /// Adds a line, and waits until it is on the disk.
  ///
  /// - Throws: `FileError.system`.
  func append(_ row: AuditRow) throws {
    let bytes = Array((row.csvLine + "\n").utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
      throw FileError(.system(operation: "write", reason: systemReason()), path: path)
    }
  }

  deinit { close(descriptor) }
}
