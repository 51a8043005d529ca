import Files
import Foundation
import Synchronization

/// What the engine said about a base and about harmless changes, kept from audit to audit in a folder.
///
/// An answer is a file named after the hash of all that it depends on, so that it is never out of date, only unused. Files come
/// by renaming, so that runs may keep the same answer at once; one that is damaged counts as none, and is written anew.
public final class AuditCache: Sendable {
  /// Made when the first answer is kept.
  public let folder: String
  /// Of all answers together, in bytes; those that were not used for longest go first.
  public let capacity: Int
  let hashes: KnownHashes
  private let fault = Mutex<(any Error)?>(nil)

  /// Some hundred answers of models for pictures of 512 pixels.
  public static let usualCapacity = 64 << 20

  /// - Parameter hashes: of the files that answers depend on, as far as they are known.
  public init(folder: String, capacity: Int = AuditCache.usualCapacity, hashes: KnownHashes = KnownHashes()) {
    (self.folder, self.capacity, self.hashes) = (folder, capacity, hashes)
  }

  /// Where the user's caches are, as freedesktop's Base Directory Specification has it: below `XDG_CACHE_HOME`, or `.cache` in the
  /// home folder. Relative paths count as none.
  ///
  /// - Returns: `nil` where the environment names no folder.
  public static func userFolder(in environment: [String: String]) -> String? {
    func folder(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
    return (folder("XDG_CACHE_HOME") ?? folder("HOME").map { "\($0)/.cache" }).map { "\($0)/lathe/audits" }
  }

  /// Why an answer could not be kept, the first time; `nil` where all could.
  public var problem: (any Error)? { fault.withLock { $0 } }

  private func path(_ key: AuditKey) -> String { "\(folder)/\(key.name)" }

  /// What was kept; `nil` where nothing is, or something that is damaged.
  func answer(for key: AuditKey) -> AuditAnswer? {
    let path = path(key)
    guard let bytes = FileManager.default.contents(atPath: path), let answer = AuditAnswer(bytes, of: key) else {
      return nil
    }
    // Where the time cannot be set the answer goes sooner.
    try? FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: path)
    return answer
  }

  /// Keeps an answer. Where that fails nothing is lost but time: see `problem`.
  func keep(_ answer: AuditAnswer, for key: AuditKey) {
    do {
      // Nobody else's business, says the specification of folders that are not there yet.
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      let file = try TemporaryFile(for: path(key), overwriting: true)
      try answer.bytes(for: key).withUnsafeBytes { try file.write($0, at: 0) }
      try file.commit()
      trim()
    } catch {
      fault.withLock { $0 = $0 ?? error }
    }
  }

  /// Removes what was not used for longest, and what stopped runs have left, until the rest is small enough.
  private func trim() {
    let files = FolderEntry.all(below: folder).compactMap { entry -> (path: String, bytes: Int, used: Date)? in
      guard entry.kind == .file, let facts = try? FileManager.default.attributesOfItem(atPath: entry.path),
        let bytes = facts[.size] as? Int, let used = facts[.modificationDate] as? Date
      else { return nil }
      return (entry.path, bytes, used)
    }
    var total = files.reduce(0) { $0 + $1.bytes }
    for file in files.sorted(by: { $0.used < $1.used }) where total > capacity {
      // Another run may have removed it.
      try? FileManager.default.removeItem(atPath: file.path)
      total -= file.bytes
    }
  }
}
