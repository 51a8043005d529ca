import Synchronization

/// The digest of every tensor written so far.
final class Digests: Sendable {
  private let digests = Mutex<[String: String]>([:])

  func record(_ digest: String, for name: String) {
    let previous = digests.withLock { $0.updateValue(digest, forKey: name) }
    precondition(previous == nil, "\(name) was written twice")
  }

  subscript(name: String) -> String? { digests.withLock { $0[name] } }
}
