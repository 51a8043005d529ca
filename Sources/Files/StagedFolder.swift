import CFiles
import Platform

/// A folder that appears under its name only when it is complete.
///
/// Files are made in a hidden sibling; `commit` renames it into place in one step. If the value goes away before, or the
/// process is interrupted, the sibling is removed with all that is in it. A folder that exists is replaced only where that is
/// asked for, and stays until the new one is complete: then both change places in one step, where the file system can do so.
/// What else was in it is in the new one too.
public final class StagedFolder: @unchecked Sendable {
  // Sendable: only its owner makes files and commits; files keep it alive from other threads.

  /// Where the files go until `commit`.
  public let path: String
  /// As the user wrote it, for messages.
  let name: String
  package let destination: String
  /// Files of a folder at the destination that go away with it, by their paths in it; `nil` when there is none.
  let replaced: Set<String>?
  /// Of the command's inputs those that may go.
  private let own: Set<String>
  /// Whether the folder at the destination cannot be renamed, so that files are put into it.
  let isInside: Bool
  var contents: [(path: String, registration: Interruption.Token)] = []
  private var folders: Set<String> = [""]
  /// Those made here, in order.
  private(set) var files: [String] = []
  private var isOpen = true
  /// Between `takePlace` and `settle`: what was replaced, and where it lies.
  var taken: TakenPlace?
  var moved: [TakenPlace] = []
  var removed: [(file: String, earlier: String)] = []

  /// - Parameters:
  ///   - files: those of a folder at `destination` that go away when this one is complete, by their paths in it; `nil` when
  ///     no folder may be replaced.
  ///   - own: inputs of the same command that may be among these, because it works in place.
  ///   - workshop: a folder on the same file system to make it in; `nil` for beside the destination.
  /// - Throws: `FileError`: `folderExists`, `isInput` or `notWritable`.
  public init(
    for destination: String, replacing files: Set<String>? = nil, inPlaceOf own: Set<String> = [],
    in workshop: String? = nil
  ) throws(FileError) {
    let place = try Self.checked(destination, replacing: files, inPlaceOf: own)
    (name, self.destination, self.own) = (place.name, place.path, own)
    replaced = place.isFolder ? files : nil
    isInside = place.isFolder && Self.mustStay(place.path)
    let lastName = Destination.lastName(of: place.path)
    path = Destination.temporaryPath(
      beside: isInside ? "\(place.path)/\(lastName)" : workshop.map { "\($0)/\(lastName)" } ?? place.path)
    try make(path)
  }

  /// Whether a folder is better not renamed, or cannot be: somebody is in it, or it holds much that is not replaced.
  private static func mustStay(_ folder: String) -> Bool {
    let parent = Destination.folder(of: folder)
    if access(parent.isEmpty ? "." : parent, W_OK) != 0 || files_is_mounted(folder) != 0 { return true }
    guard let real = realpath(folder, nil), let current = realpath(".", nil) else { return true }
    defer {
      free(real)
      free(current)
    }
    if "\(String(cString: current))/".hasPrefix("\(String(cString: real))/") { return true }
    return FolderEntry.all(below: folder, most: 4096) == nil
  }

  /// Fails early, before any work, when the destination cannot be made, or be replaced.
  public static func checkDestination(
    _ path: String, replacing files: Set<String>? = nil, inPlaceOf own: Set<String> = []
  ) throws(FileError) {
    _ = try checked(path, replacing: files, inPlaceOf: own)
  }

  private static func checked(
    _ path: String, replacing files: Set<String>?, inPlaceOf own: Set<String>
  ) throws(FileError) -> Destination {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    let place = try Destination(path)
    guard place.status != nil else {
      try TemporaryFile.checkDestination(path, overwriting: false)
      return place
    }
    guard place.isFolder, let files else { throw FileError(.folderExists, path: path) }
    let parent = Destination.folder(of: place.path)
    guard access(parent.isEmpty ? "." : parent, W_OK) == 0 || access(place.path, W_OK) == 0 else {
      throw FileError(.notWritable(reason: systemReason()), path: path)
    }
    try checkReplaced(files, in: place.path, name: path, inPlaceOf: own)
    return place
  }

  private static func checkReplaced(
    _ files: Set<String>, in folder: String, name: String, inPlaceOf own: Set<String>
  ) throws(FileError) {
    for file in files.sorted() {
      var status = stat()
      guard lstat("\(folder)/\(file)", &status) == 0 else { continue }
      guard status.st_mode & S_IFMT != S_IFLNK else {
        throw FileError(.notWritable(reason: "it is a symbolic link"), path: "\(name)/\(file)")
      }
      guard status.st_mode & S_IFMT == S_IFREG else {
        throw FileError(.notWritable(reason: "it exists and is not a regular file"), path: "\(name)/\(file)")
      }
      try TemporaryFile.requireNoInput("\(folder)/\(file)", name: "\(name)/\(file)", inPlaceOf: own)
    }
  }

  /// A file at `relativePath`, whose folders are made. It has its name in the folder from the beginning.
  public func file(_ relativePath: String) throws(FileError) -> TemporaryFile {
    let parts = relativePath.split(separator: "/")
    for count in 1..<max(parts.count, 1) {
      let folder = parts.prefix(count).joined(separator: "/")
      if folders.insert(folder).inserted { try make("\(path)/\(folder)") }
    }
    var status = stat()
    let isReplacing = replaced != nil && lstat("\(destination)/\(relativePath)", &status) == 0
    let file = try TemporaryFile(
      in: self, at: "\(path)/\(relativePath)", name: "\(name)/\(relativePath)",
      permissions: isReplacing ? Permissions(status) : nil)
    files.append(relativePath)
    contents.append((file.path, Interruption.register(file.path)))
    return file
  }

  /// Syncs the folder and gives it its name.
  public func commit() throws(FileError) { try Publication.publish([self]) }

  deinit {
    guard isOpen else { return }
    Interruption.uninterrupted {
      for item in contents.reversed() {
        if unlink(item.path) != 0 { rmdir(item.path) }
        Interruption.forget(item.registration)
      }
    }
  }

  func make(_ folder: String) throws(FileError) {
    let (registration, reason) = Interruption.uninterrupted {
      let registration = Interruption.register(folder)
      guard mkdir(folder, 0o777) != 0 else { return (registration as Interruption.Token?, "") }
      let reason = systemReason()
      Interruption.forget(registration)
      return (nil, reason)
    }
    guard let registration else { throw FileError(.notWritable(reason: reason), path: name) }
    contents.append((folder, registration))
  }

  /// What is in it stays from now on.
  func release() {
    isOpen = false
    for item in contents { Interruption.forget(item.registration) }
    contents = []
  }

  /// Looks once more at what is replaced: inputs may have been opened since.
  func checkReplaced() throws(FileError) {
    guard let replaced else { return }
    try Self.checkReplaced(replaced, in: destination, name: name, inPlaceOf: own)
  }
}
