import Foundation

/// A file without a name, for readers that want a path. It lies in `TMPDIR`, which should be memory.
public final class MemoryFile {
  private let descriptor: Int32
  public let path: String

  public init() {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(folder)/lathe-fuzz-XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    precondition(descriptor >= 0, "a file in \(folder)")
    unlink(template)
    path = "/dev/fd/\(descriptor)"
  }

  /// Puts `bytes` into the file, and nothing else.
  public func fill(_ bytes: [UInt8]) {
    precondition(ftruncate(descriptor, 0) == 0 && pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
  }

  /// The one file of a process that is fuzzed, on one thread.
  public nonisolated(unsafe) static let shared = MemoryFile()
}

/// A fuzzer's input as an array.
public func array(_ data: UnsafePointer<UInt8>?, _ count: Int) -> [UInt8] {
  Array(UnsafeBufferPointer(start: data, count: count))
}
