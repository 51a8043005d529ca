import Dispatch
import Synchronization
import Tensors

/// The digest of every part of the data section that was written so far.
final class Digests: Sendable {
  private let parts = Mutex<[(range: Range<Int>, digest: String)]>([])

  func record(_ digest: String, for range: Range<Int>) { parts.withLock { $0.append((range, digest)) } }

  /// Compares what a file holds with what was handed over, on all cores.
  ///
  /// - Throws: `SafetensorsError.verification` for the first tensor, in file order, that differs or that was not written
  ///   exactly once.
  func verify(_ layout: SafetensorsLayout, in data: Bytes, path: String) throws(SafetensorsError) {
    let known = parts.withLock { $0 }.sorted { $0.range.lowerBound < $1.range.lowerBound }
    var end = 0
    for (range, _) in known {
      guard range.lowerBound == end else {
        throw SafetensorsError(.verification(tensor: layout.name(at: min(end, range.lowerBound))), path: path)
      }
      end = range.upperBound
    }
    guard end == layout.dataCount else {
      throw SafetensorsError(.verification(tensor: layout.name(at: end)), path: path)
    }
    let firstFault = Mutex<Int?>(nil)
    DispatchQueue.concurrentPerform(iterations: known.count) { index in
      guard known[index].digest != ContentHash.sha256(data[known[index].range]) else { return }
      firstFault.withLock { $0 = min($0 ?? index, index) }
    }
    guard let index = firstFault.withLock({ $0 }) else { return }
    throw SafetensorsError(.verification(tensor: layout.name(at: known[index].range.lowerBound)), path: path)
  }
}

extension SafetensorsLayout {
  /// The tensor that holds a byte of the data section.
  fileprivate func name(at offset: Int) -> String {
    places.first { $0.range.contains(offset) }?.item.name ?? "a tensor"
  }
}
