import Files
import Synchronization

/// Hashes of files that were read before: a base is the same for many audits, and hours of reading.
public final class KnownHashes: Sendable {
  private let hashes = Mutex<[AuditRowInputs.File: String]>([:])

  /// No file is known yet.
  public init() {}

  func sha256(of file: MappedFile) -> String {
    let key = AuditRowInputs.File(at: file.path)
    if let known = hashes.withLock({ $0[key] }) { return known }
    let hash = ContentHash.sha256(streaming: file.bytes)
    hashes.withLock { $0[key] = hash }
    return hash
  }
}
