import Files
import Foundation
import Platform

/// Where a shard makes its reports, until they are complete. Only one run at a time has it; when it ends nothing is left.
public final class AuditWorkingFolder {
  /// In the output: `.working`, or `.working-2-of-4` for a shard.
  public let path: String
  private let lock: Int32
  private let registrations: [Interruption.Token]

  /// Takes the folder, and clears what a run left there that was killed.
  ///
  /// - Throws: `AuditBatchError.busy`, `FileError.notWritable`.
  public init(in folder: AuditBatchFolder, shard: AuditShard?) throws {
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
