import Dispatch
import Synchronization
import Tensors

/// The digest of every tensor written so far.
final class Digests: Sendable {
  private let digests = Mutex<[String: String]>([:])

  func record(_ digest: String, for name: String) {
    let previous = digests.withLock { $0.updateValue(digest, forKey: name) }
    precondition(previous == nil, "\(name) was written twice")
  }

  /// Compares what a file holds with what was handed over, on all cores.
  ///
  /// - Throws: `SafetensorsError.verification` for the first tensor, in file order, that differs.
  func verify(_ layout: SafetensorsLayout, in data: Bytes, path: String) throws(SafetensorsError) {
    let known = digests.withLock { $0 }
    let firstFault = Mutex<Int?>(nil)
    DispatchQueue.concurrentPerform(iterations: layout.places.count) { index in
      let (item, range) = layout.places[index]
      guard known[item.name] != ContentHash.sha256(data[range]) else { return }
      firstFault.withLock { $0 = min($0 ?? index, index) }
    }
    guard let index = firstFault.withLock({ $0 }) else { return }
    throw SafetensorsError(.verification(tensor: layout.places[index].item.name), path: path)
  }
}
