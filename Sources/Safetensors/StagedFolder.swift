import FoundationEssentials

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A folder that appears under its name only when it is complete.
///
/// Files are made in a hidden sibling; `commit` renames it into place in one step. If the value goes away before, or the
/// process is interrupted, the sibling is removed with all that is in it. A folder that exists is replaced only where that is
/// asked for, and stays until the new one is complete.
public final class StagedFolder {
  /// Where the files go until `commit`.
  public let path: String
  private let destination: String
  private let isReplacing: Bool
  private var contents: [(path: String, registration: Int)] = []
  private var folders: Set<String> = [""]
  private var isOpen = true

  /// - Parameter isReplacing: whether a folder that exists at `destination` goes away when this one is complete.
  /// - Throws: `SafetensorsError`: `folderExists` or `notWritable`.
  public init(for destination: String, replacing isReplacing: Bool = false) throws(SafetensorsError) {
    let destination = destination.hasSuffix("/") ? String(destination.dropLast()) : destination
    self.isReplacing = isReplacing && Self.isFolder(destination)
    if !self.isReplacing { try Self.checkDestination(destination) }
    let slash = destination.lastIndex(of: "/")
    let parent = slash.map { String(destination[...$0]) } ?? ""
    let name = slash.map { String(destination[destination.index(after: $0)...]) } ?? destination
    path = "\(parent).\(name).\(getpid()).partial"
    self.destination = destination
    try make(path)
  }

  /// Fails early, before any work, when the destination cannot be made.
  public static func checkDestination(_ path: String) throws(SafetensorsError) {
    let path = path.hasSuffix("/") ? String(path.dropLast()) : path
    guard access(path, F_OK) != 0 else { throw SafetensorsError(.folderExists, path: path) }
    try TemporaryFile.checkDestination(path, overwriting: false)
  }

  /// The full path for a file at `relativePath`, whose folders are made.
  public func place(for relativePath: String) throws(SafetensorsError) -> String {
    let parts = relativePath.split(separator: "/")
    for count in 1..<max(parts.count, 1) {
      let folder = parts.prefix(count).joined(separator: "/")
      if folders.insert(folder).inserted { try make("\(path)/\(folder)") }
    }
    let file = "\(path)/\(relativePath)"
    contents.append((file, Interruption.register(file)))
    return file
  }

  /// Syncs the folder and gives it its name.
  public func commit() throws(SafetensorsError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY)
    if descriptor >= 0 {
      fsync(descriptor)
      close(descriptor)
    }
    if isReplacing {
      try Self.move(path, to: destination)
    } else {
      try Self.checkDestination(destination)
      guard rename(path, destination) == 0 else {
        throw SafetensorsError(.notWritable(reason: systemReason()), path: destination)
      }
    }
    isOpen = false
    for item in contents { Interruption.forget(item.registration) }
  }

  /// Moves a folder into the place of another, or where nothing is.
  ///
  /// The other one is moved aside, beside `folder`; it comes back when the move fails, and is removed after it.
  ///
  /// - Parameter folder: on the file system of `destination`.
  /// - Throws: `SafetensorsError.notWritable`.
  public static func move(_ folder: String, to destination: String) throws(SafetensorsError) {
    let aside = folder + ".old"
    // What a run left there that was killed; it had a successor by then.
    if access(destination, F_OK) == 0 { try remove(aside) }
    let isReplacing = rename(destination, aside) == 0
    guard isReplacing || errno == ENOENT, rename(folder, destination) == 0 else {
      let reason = systemReason()
      if isReplacing { rename(aside, destination) }
      throw SafetensorsError(.notWritable(reason: reason), path: destination)
    }
    if isReplacing { try remove(aside) }
  }

  /// Removes a folder with all that is in it, if it is there.
  private static func remove(_ folder: String) throws(SafetensorsError) {
    do {
      try FileManager.default.removeItem(atPath: folder)
    } catch {
      guard access(folder, F_OK) == 0 else { return }
      throw SafetensorsError(.notWritable(reason: "\(folder) cannot be removed"), path: folder)
    }
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  deinit {
    guard isOpen else { return }
    for item in contents.reversed() {
      if unlink(item.path) != 0 { rmdir(item.path) }
      Interruption.forget(item.registration)
    }
  }

  private func make(_ folder: String) throws(SafetensorsError) {
    let registration = Interruption.register(folder)
    guard mkdir(folder, 0o777) == 0 else {
      let reason = systemReason()
      Interruption.forget(registration)
      throw SafetensorsError(.notWritable(reason: reason), path: destination)
    }
    contents.append((folder, registration))
  }
}
