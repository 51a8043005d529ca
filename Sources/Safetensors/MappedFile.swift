public import Tensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A whole file mapped read-only into memory. Pages are read when touched, and the system may drop them again.
public final class MappedFile: @unchecked Sendable {
  // Sendable: the mapping is fixed at creation and only read.
  public let path: String
  public let count: Int
  private let base: UnsafeMutableRawPointer?

  /// - Throws: `SafetensorsError`: `missing`, `notAFile` or `system`.
  public init(path: String) throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw SafetensorsError(
        errno == ENOENT ? .missing : .system(operation: "open", reason: systemReason()), path: path)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw SafetensorsError(.system(operation: "read", reason: systemReason()), path: path)
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw SafetensorsError(.notAFile, path: path) }
    self.path = path
    count = Int(status.st_size)
    guard count > 0 else {
      base = nil
      return
    }
    guard let mapping = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), mapping != MAP_FAILED else {
      throw SafetensorsError(.system(operation: "map", reason: systemReason()), path: path)
    }
    base = mapping
  }

  deinit { if let base { munmap(base, count) } }

  public var bytes: Bytes { Bytes(UnsafeRawBufferPointer(start: base, count: count), keeping: self) }
}

/// The system's words for the last failed call.
func systemReason() -> String { String(cString: strerror(errno)) }
