import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a hidden sibling; `commit` syncs it and renames it into place in one step. If the value goes away
/// before, or the process is interrupted, the sibling is removed and nothing else was touched.
public final class TemporaryFile: @unchecked Sendable {
  // Sendable: writes go to disjoint ranges by `pwrite`; the state is fixed at creation but for `isOpen`, which only
  // the owner's `commit` and `deinit` touch.
  public let path: String
  private let destination: String
  private let overwrites: Bool
  private static let serial = Atomic(0)
  private let descriptor: Int32
  private let registration: Int
  private var isOpen = true

  /// - Parameter overwriting: whether a file that exists at `destination` may be replaced.
  /// - Throws: `SafetensorsError`: `exists` or `notWritable`.
  public init(for destination: String, overwriting: Bool) throws(SafetensorsError) {
    try Self.checkDestination(destination, overwriting: overwriting)
    let slash = destination.lastIndex(of: "/")
    let folder = slash.map { String(destination[...$0]) } ?? ""
    let name = slash.map { String(destination[destination.index(after: $0)...]) } ?? destination
    // The number keeps two writers of one process apart.
    path = "\(folder).\(name).\(getpid())-\(Self.serial.wrappingAdd(1, ordering: .relaxed).newValue).partial"
    self.destination = destination
    overwrites = overwriting
    registration = Interruption.register(path)
    descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      Interruption.forget(registration)
      isOpen = false
      throw SafetensorsError(.notWritable(reason: systemReason()), path: destination)
    }
  }

  /// Fails early, before any work, when the destination cannot be written.
  public static func checkDestination(_ path: String, overwriting: Bool) throws(SafetensorsError) {
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw SafetensorsError(.notWritable(reason: "it exists and is not a regular file"), path: path)
      }
      guard overwriting else { throw SafetensorsError(.exists, path: path) }
    }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    guard access(folder, W_OK) == 0 else {
      throw SafetensorsError(.notWritable(reason: "\(folder): \(systemReason())"), path: path)
    }
  }

  /// Writes all of `bytes` at `offset`. Threads may write different ranges at the same time.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SafetensorsError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
      guard count > 0 else {
        if count < 0, errno == EINTR { continue }
        throw SafetensorsError(.system(operation: "write", reason: systemReason()), path: destination)
      }
      done += count
    }
  }

  /// Waits until everything written so far is on the disk.
  package func sync() throws(SafetensorsError) {
    guard fsync(descriptor) == 0 else {
      throw SafetensorsError(.system(operation: "sync", reason: systemReason()), path: destination)
    }
  }

  /// Syncs the file to the disk and gives it its name.
  public func commit() throws(SafetensorsError) {
    try sync()
    // Another process may have made the file since the first look; a link never replaces one.
    if !overwrites, link(path, destination) != 0 {
      // Some file systems have no links; there a second look must do.
      let hasNoLinks = [EPERM, ENOTSUP, EOPNOTSUPP, ENOSYS].contains(errno)
      guard hasNoLinks, access(destination, F_OK) != 0, rename(path, destination) == 0 else {
        throw SafetensorsError(errno == EEXIST ? .exists : .notWritable(reason: systemReason()), path: destination)
      }
    } else if overwrites {
      guard rename(path, destination) == 0 else {
        throw SafetensorsError(.notWritable(reason: systemReason()), path: destination)
      }
    }
    finish()
  }

  deinit { finish() }

  private func finish() {
    guard isOpen else { return }
    isOpen = false
    close(descriptor)
    unlink(path)
    Interruption.forget(registration)
  }
}
