import Platform
public import Tensors

/// A whole file mapped read-only into memory. Pages are read when touched, and the system may drop them again.
public final class MappedFile: @unchecked Sendable {
  // Sendable: the mapping is fixed at creation and only read.
  /// As it was given.
  public let path: String
  /// Its size in bytes when it was opened.
  public let count: Int
  private let base: UnsafeMutableRawPointer?
  private let descriptor: Int32
  private var registration: Interruption.Token?

  /// - Throws: `FileError`: `missing`, `notAFile` or `system`.
  public convenience init(path: String) throws(FileError) { try self.init(path: path, isInput: true) }

  /// - Parameter isInput: whether the file must stay the same until the outputs that are made from it have their names.
  package init(path: String, isInput: Bool) throws(FileError) {
    // Opening a pipe would wait for somebody to write into it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw FileError(
        errno == ENOENT ? .missing : .system(operation: "open", reason: systemReason()), path: path)
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      let reason = systemReason()
      close(descriptor)
      throw FileError(.system(operation: "read", reason: reason), path: path)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw FileError(.notAFile, path: path)
    }
    self.descriptor = descriptor
    self.path = path
    count = Int(status.st_size)
    guard count > 0 else {
      base = nil
      if isInput { InputFiles.opened(path, descriptor, status) }
      return
    }
    guard let mapping = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), mapping != MAP_FAILED else {
      let reason = systemReason()
      close(descriptor)
      throw FileError(.system(operation: "map", reason: reason), path: path)
    }
    base = mapping
    if isInput { InputFiles.opened(path, descriptor, status) }
    registration = Interruption.registerMapping(path, UnsafeRawBufferPointer(start: mapping, count: count))
  }

  deinit {
    InputFiles.closed(descriptor)
    if let registration { Interruption.forgetMapping(registration) }
    if let base { munmap(base, count) }
    close(descriptor)
  }

  /// The whole file; it stays mapped as long as somebody has a part of it.
  public var bytes: Bytes { Bytes(UnsafeRawBufferPointer(start: base, count: count), keeping: self, reader: self) }
}

extension MappedFile: DirectReading {
  /// Reads from the file itself, past the mapping, so that its pages stay untouched.
  public func read(_ part: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard let base, let start = part.baseAddress else { return part.isEmpty }
    return pread(descriptor, target.baseAddress, target.count, off_t(start - UnsafeRawPointer(base))) == target.count
  }
}

extension MappedFile {
  /// Lets the system drop the whole pages of `part`; they are read again when touched.
  public func forget(_ part: UnsafeRawBufferPointer) {
    guard let base, let start = part.baseAddress else { return }
    // Whole pages only; those at the ends may be in use next door.
    let page = Int(sysconf(Int32(_SC_PAGESIZE))), offset = start - UnsafeRawPointer(base)
    let first = (offset + page - 1) / page * page, end = (offset + part.count) / page * page
    if end > first { madvise(base + first, end - first, MADV_DONTNEED) }
  }
}

/// The system's words for the last failed call.
package func systemReason() -> String { String(cString: strerror(errno)) }
