import CXxHash
import Dispatch
import Synchronization
package import Tensors

/// A checksum of every part of the data section that was written so far, against faults on the way to the file. It is
/// no defence against an adversary: XXH3 is ten times as fast as SHA-256, and whole checkpoints pass through it.
package final class Digests: Sendable {
  private let parts = Mutex<[(range: Range<Int>, digest: UInt64)]>([])

  package init() {}

  /// Takes note of a part that was written at `offset` of the data.
  package func record(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    let digest = Self.digest(bytes)
    parts.withLock { $0.append((offset..<offset + bytes.count, digest)) }
  }

  private static func digest(_ bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }

  /// Compares what a file holds with what was handed over, on all cores.
  ///
  /// - Parameters:
  ///   - count: the bytes of the data section.
  ///   - name: of the tensor that holds a byte of it.
  /// - Throws: `FileError.verification` for the first tensor, in file order, that differs or was not written
  ///   exactly once.
  package func verify(
    count: Int, in data: Bytes, path: String, name: (Int) -> String
  ) throws(FileError) {
    let known = parts.withLock { $0 }.sorted { $0.range.lowerBound < $1.range.lowerBound }
    // Every byte must have been handed over exactly once.
    var end = 0
    for (range, _) in known {
      guard range.lowerBound == end else {
        throw FileError(.verification(part: name(min(end, range.lowerBound))), path: path)
      }
      end = range.upperBound
    }
    guard end == count else {
      throw FileError(.verification(part: name(end)), path: path)
    }
    let firstFault = Mutex<Int?>(nil)
    DispatchQueue.concurrentPerform(iterations: known.count) { index in
      let part = data[known[index].range]
      let isEqual = part.withUnsafeBytes { Self.digest($0) } == known[index].digest
      part.forget()
      if !isEqual { firstFault.withLock { $0 = min($0 ?? index, index) } }
    }
    guard let index = firstFault.withLock({ $0 }) else { return }
    throw FileError(.verification(part: name(known[index].range.lowerBound)), path: path)
  }
}
