import FoundationEssentials
import Platform
import Synchronization

/// The files that were read, as they were then: a result holds only for files that stayed the same, and may replace none
/// of them.
///
/// Only a program that calls `watch` has its files remembered, those that it ever read and those that lie beside them in
/// folders: in a process that does several things at once, one work's inputs are none of another's business.
package enum InputFiles {
  /// What tells one state of one file from another.
  struct Identity: Hashable {
    let place: Place
    let size: Int
    let seconds: Int
    let nanoseconds: Int

    init(_ status: stat) {
      place = Place(status)
      size = Int(status.st_size)
      (seconds, nanoseconds) = (Int(status.modified.tv_sec), Int(status.modified.tv_nsec))
    }

    /// Whether a copy is as large and as old.
    func isSameContent(as other: Identity) -> Bool {
      (size, seconds, nanoseconds) == (other.size, other.seconds, other.nanoseconds)
    }
  }

  /// A file, whatever it is called.
  struct Place: Hashable {
    let device: UInt64
    let inode: UInt64

    init(_ status: stat) { (device, inode) = (UInt64(truncatingIfNeeded: status.st_dev), UInt64(status.st_ino)) }
  }

  private struct State {
    var isWatching = false
    var mapped: [Int32: (path: String, identity: Identity)] = [:]
    var read: [String: Identity] = [:]
    var places: Set<Place> = []
    /// Whether outputs have their names: what happens to inputs from then on does not matter.
    var isSettled = false

    mutating func note(_ path: String, _ identity: Identity) {
      guard isWatching else { return }
      places.insert(identity.place)
      // What was read first counts: a file that was changed between two looks is a mixture.
      if read[path] == nil { read[path] = identity }
    }
  }

  private static let state = Mutex(State())

  // MARK: Taking note

  /// Remembers, from now on, which files are read.
  package static func watch() { state.withLock { $0.isWatching = true } }

  /// Forgets how files were that were read so far, between works that have nothing to do with each other. No output may
  /// replace them all the same.
  package static func beginAnew() {
    state.withLock { state in
      state.isSettled = false
      (state.read, state.mapped) = ([:], [:])
    }
  }

  /// A file that is read otherwise than by mapping it.
  package static func note(_ path: String) {
    guard state.withLock({ $0.isWatching }) else { return }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
    state.withLock { $0.note(path, Identity(status)) }
  }

  /// A file, or all that a folder holds, which the command names but has no need to open: no output may replace it.
  package static func protect(_ path: String) {
    note(path)
    protect(folder: path, isDeep: true)
  }

  /// All that lies in a folder: no output may replace any of it, whether it is read or not.
  ///
  /// - Parameter isDeep: whether folders in it belong to it.
  package static func protect(folder: String, isDeep: Bool) {
    guard state.withLock({ $0.isWatching }) else { return }
    guard let real = realpath(folder, nil) else { return }
    defer { free(real) }
    // A listing does not follow a link to the folder itself.
    let manager = FileManager.default, folder = String(cString: real)
    let paths = try? isDeep ? manager.subpathsOfDirectory(atPath: folder) : manager.contentsOfDirectory(atPath: folder)
    for path in paths ?? [] {
      var status = stat()
      guard stat("\(folder)/\(path)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
      state.withLock { _ = $0.places.insert(Place(status)) }
    }
  }

  static func opened(_ path: String, _ descriptor: Int32, _ status: stat) {
    guard !Interruption.isUnfinished(path) else { return }
    state.withLock { state in
      guard state.isWatching else { return }
      state.mapped[descriptor] = (path, Identity(status))
      state.note(path, Identity(status))
    }
  }

  static func closed(_ descriptor: Int32) { state.withLock { _ = $0.mapped.removeValue(forKey: descriptor) } }

  // MARK: Asking

  /// Fails when a file is not any more what it was when it was read.
  ///
  /// - Throws: `FileError.changed`.
  package static func requireUnchanged() throws(FileError) {
    if let path = changed { throw FileError(.changed, path: path) }
  }

  /// The same for a report, which need not look any more when outputs have their names.
  package static func requireUnchangedForReport() throws(FileError) {
    if !state.withLock({ $0.isSettled }) { try requireUnchanged() }
  }

  /// The first file that changed since it was read.
  package static var changed: String? {
    state.withLock { state in
      for (descriptor, file) in state.mapped.sorted(by: { $0.value.path < $1.value.path }) {
        var status = stat()
        if fstat(descriptor, &status) != 0 || Identity(status) != file.identity { return file.path }
      }
      for (path, identity) in state.read.sorted(by: { $0.key < $1.key }) {
        var status = stat()
        if stat(path, &status) != 0 || Identity(status) != identity { return path }
      }
      return nil
    }
  }

  /// Whether the file at `path` is one of those that are read; always `false` where nobody watches.
  static func contains(fileAt path: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    return state.withLock { $0.places.contains(Place(status)) }
  }

  /// Outputs have their names.
  static func settle() {
    state.withLock { state in
      state.isSettled = true
      state.read = [:]
    }
  }
}
