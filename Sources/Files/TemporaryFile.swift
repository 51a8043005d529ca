import CFiles
import Platform

/// A file that appears under its name only when it is complete.
///
/// Bytes go to a hidden sibling; `commit` syncs it and renames it into place in one step. If the value goes away
/// before, or the process is interrupted, the sibling is removed and nothing else was touched. A file that is replaced
/// leaves its mode and, where this user may give it, its owner; of a symbolic link the file that it leads to is replaced.
public final class TemporaryFile: @unchecked Sendable {
  // Sendable: writes go to disjoint ranges by `pwrite`; the state is fixed at creation but for that of `commit`, which only
  // the owner's `commit` and `deinit` touch.

  /// Where the bytes are until `commit`.
  public let path: String
  /// As the user wrote it, for messages.
  private let name: String
  package let destination: String
  private let overwrites: Bool
  /// Of the command's inputs those that this file may replace.
  private let own: Set<String>
  private let permissions: Permissions?
  /// Has the file from the beginning, under its name.
  private let folder: StagedFolder?
  /// Whether the file is in no folder, and never gets a name.
  private let isInMemory: Bool
  private let descriptor: Int32
  private let registration: Interruption.Token
  private var isOpen = true
  /// Between `takePlace` and `settle`.
  private var taken: TakenPlace?

  /// - Parameters:
  ///   - overwriting: whether a file that exists at `destination` may be replaced.
  ///   - own: inputs of the same command that may be replaced all the same, because it works in place.
  /// - Throws: `FileError`: `exists`, `isInput` or `notWritable`.
  public convenience init(
    for destination: String, overwriting: Bool, inPlaceOf own: Set<String> = []
  ) throws(FileError) {
    let place = try Self.checked(destination, overwriting: overwriting, inPlaceOf: own)
    try self.init(
      name: destination, destination: place.path, overwrites: overwriting, own: own,
      permissions: place.status.map(Permissions.init), folder: nil)
  }

  /// A file of a folder that is in the making.
  ///
  /// - Parameter permissions: of the file that it replaces.
  convenience init(
    in folder: StagedFolder, at path: String, name: String, permissions: Permissions?
  ) throws(FileError) {
    try self.init(
      name: name, destination: path, overwrites: false, own: [], permissions: permissions, folder: folder)
  }

  /// A file without a place in any folder, for a result that stays in memory: it never gets a name.
  package init(inMemory title: String) throws(FileError) {
    descriptor = files_without_name(title)
    guard descriptor >= 0 else { throw FileError(.system(operation: "write", reason: systemReason()), path: title) }
    (name, destination, overwrites, own) = (title, "", false, [])
    (permissions, folder, isInMemory) = (nil, nil, true)
    path = "/dev/fd/\(descriptor)"
    registration = Interruption.register(path)
  }

  private init(
    name: String, destination: String, overwrites: Bool, own: Set<String>, permissions: Permissions?,
    folder: StagedFolder?
  ) throws(FileError) {
    (self.name, self.destination, self.overwrites, self.own) = (name, destination, overwrites, own)
    (self.permissions, self.folder, isInMemory) = (permissions, folder, false)
    // Whoever may not read the old file may not read the new one meanwhile.
    let mode: mode_t = permissions == nil ? 0o666 : 0o600
    while true {
      let path = folder == nil ? Destination.temporaryPath(beside: destination) : destination
      let (descriptor, registration, reason) = Interruption.uninterrupted {
        let registration = Interruption.register(path)
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        let reason = errno
        if descriptor < 0 { Interruption.forget(registration) }
        return (descriptor, registration, reason)
      }
      if descriptor < 0, reason == EEXIST, folder == nil { continue }
      guard descriptor >= 0 else {
        throw FileError(.notWritable(reason: String(cString: strerror(reason))), path: name)
      }
      (self.path, self.descriptor, self.registration) = (path, descriptor, registration)
      return
    }
  }

  /// Fails early, before any work, when the destination cannot be written.
  public static func checkDestination(
    _ path: String, overwriting: Bool, inPlaceOf own: Set<String> = []
  ) throws(FileError) {
    _ = try checked(path, overwriting: overwriting, inPlaceOf: own)
  }

  private static func checked(
    _ path: String, overwriting: Bool, inPlaceOf own: Set<String>
  ) throws(FileError) -> Destination {
    let place = try Destination(path)
    if let status = place.status {
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw FileError(.notWritable(reason: "it exists and is not a regular file"), path: path)
      }
      guard overwriting else { throw FileError(.exists, path: path) }
      try requireNoInput(place.path, name: path, inPlaceOf: own)
    }
    let folder = Destination.folder(of: place.path)
    guard access(folder.isEmpty ? "." : folder, W_OK) == 0 else {
      throw FileError(.notWritable(reason: "\(folder.isEmpty ? "." : folder): \(systemReason())"), path: path)
    }
    return place
  }

  /// Refuses to replace an input of the same command.
  static func requireNoInput(_ path: String, name: String, inPlaceOf own: Set<String>) throws(FileError) {
    guard InputFiles.contains(fileAt: path), !own.contains(where: { isSame($0, path) }) else { return }
    throw FileError(.isInput, path: name)
  }

  private static func isSame(_ path: String, _ other: String) -> Bool {
    var one = stat(), two = stat()
    return stat(path, &one) == 0 && stat(other, &two) == 0 && InputFiles.Place(one) == InputFiles.Place(two)
  }

  /// Writes a text, which is all that the file holds.
  ///
  /// - Throws: `FileError`.
  public func write(_ text: String) throws { try Array(text.utf8).withUnsafeBytes { try write($0, at: 0) } }

  /// Writes all of `bytes` at `offset`. Threads may write different ranges at the same time.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
      guard count > 0 else {
        if count < 0, errno == EINTR { continue }
        throw FileError(.system(operation: "write", reason: systemReason()), path: name)
      }
      done += count
    }
  }

  /// Waits until everything written so far is on the disk.
  package func sync() throws(FileError) {
    guard fsync(descriptor) == 0 else {
      throw FileError(.system(operation: "sync", reason: systemReason()), path: name)
    }
  }

  /// Syncs the file to the disk and gives it its name. A file of a folder gets it with the folder.
  public func commit() throws(FileError) {
    precondition(!isInMemory, "a file in memory gets no name")
    guard folder != nil else { return try Publication.publish([self]) }
    try prepare()
    finish(keepingFile: true)
  }

  /// Gives the file its name for a while: it goes away when the process is stopped before `forget`.
  package func commitUnfinished() throws(FileError) -> Interruption.Token {
    try prepare()
    return try Interruption.uninterrupted { () throws(FileError) in
      try takePlace(isAlone: true)
      settle()
      return Interruption.register(destination)
    }
  }

  deinit { finish(keepingFile: false) }

  private func finish(keepingFile: Bool) {
    guard isOpen else { return }
    isOpen = false
    close(descriptor)
    Interruption.uninterrupted {
      if !keepingFile, !isInMemory { unlink(path) }
      Interruption.forget(registration)
    }
  }
}

extension TemporaryFile: Unpublished {
  package func prepare() throws(FileError) {
    if overwrites { try Self.requireNoInput(destination, name: name, inPlaceOf: own) }
    permissions?.apply(to: descriptor)
    try sync()
  }

  package func takePlace(isAlone: Bool) throws(FileError) {
    guard overwrites else { return try takeNewPlace() }
    // Exchanging names would put the file in a folder's place.
    var status = stat()
    if lstat(destination, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      errno = EISDIR
      throw failure()
    }
    if isAlone {
      guard rename(path, destination) == 0 else { throw failure() }
    } else {
      taken = TakenPlace(of: destination, by: path)
      guard taken != nil else { throw failure() }
    }
  }

  /// Another process may have made the file since the first look; a link never replaces one.
  private func takeNewPlace() throws(FileError) {
    if link(path, destination) == 0 {
      unlink(path)
      return
    }
    // Some file systems have no links; there a second look must do.
    let hasNoLinks = [EPERM, ENOTSUP, EOPNOTSUPP, ENOSYS].contains(errno)
    guard hasNoLinks, access(destination, F_OK) != 0, rename(path, destination) == 0 else { throw failure() }
  }

  private func failure() -> FileError {
    FileError(errno == EEXIST ? .exists : .notWritable(reason: systemReason()), path: name)
  }

  package func giveBack() {
    if let taken { taken.giveBack() } else { rename(destination, path) }
    taken = nil
  }

  package func settle() {
    if let earlier = taken?.earlier { unlink(earlier) }
    taken = nil
    finish(keepingFile: false)
  }
}
