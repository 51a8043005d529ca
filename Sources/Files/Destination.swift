import CFiles
import Platform

/// Where an output goes: the file or folder itself, whatever links lead there, and what is there already.
package struct Destination {
  /// As the user wrote it, for messages.
  let name: String
  /// Not a link.
  let path: String
  /// Of what is there.
  let status: stat?

  var isFolder: Bool { status.map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

  /// - Throws: `FileError.notWritable` for links that lead nowhere, and for the system's own names (`/dev/stdout`), in
  ///   whose place nothing may be put.
  init(_ name: String) throws(FileError) {
    self.name = name
    guard !name.isEmpty else {
      throw FileError(.notWritable(reason: "expected a name, found an empty one"), path: "\"\"")
    }
    var path = name, status = stat(), links = 0
    while true {
      guard !Self.isOfSystem(path) else {
        throw FileError(.notWritable(reason: "expected a file's name, found one of the system's"), path: name)
      }
      guard lstat(path, &status) == 0 else {
        guard links == 0 else {
          throw FileError(.notWritable(reason: "it is a symbolic link that leads nowhere"), path: name)
        }
        (self.path, self.status) = (path, nil)
        return
      }
      guard status.st_mode & S_IFMT == S_IFLNK else { break }
      links += 1
      guard links <= 40, let target = Self.target(of: path) else {
        throw FileError(.notWritable(reason: "it is a symbolic link that leads nowhere"), path: name)
      }
      path = target.hasPrefix("/") ? target : Self.folder(of: path) + target
    }
    (self.path, self.status) = (path, status)
  }

  /// The part of a path before the last name, with its slash; empty for a name alone.
  static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "" }

  /// The last name of a path.
  static func lastName(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }

  /// Refuses outputs of one command of which one would replace another, or lie in it.
  package static func requireApart(_ names: [String]) throws(FileError) {
    var places: [(name: String, path: String)] = []
    for name in names {
      let isFolder = name.count > 1 && name.hasSuffix("/")
      let place = try Destination(isFolder ? String(name.dropLast()) : name).path, folder = folder(of: place)
      let real = realpath(folder.isEmpty ? "." : folder, nil)
      defer { free(real) }
      let path = (real.map { String(cString: $0) } ?? folder) + "/" + lastName(of: place)
      for other in places where "\(path)/".hasPrefix("\(other.path)/") || other.path.hasPrefix("\(path)/") {
        throw FileError(.notWritable(reason: "it would replace \(other.name), or lie in it"), path: name)
      }
      places.append((name, path))
    }
  }

  /// A name beside `path` that nothing has, hidden, and known as unfinished by its ending.
  ///
  /// It is random: a run that was killed leaves its own behind, and process numbers come again.
  static func temporaryPath(beside path: String) -> String {
    var stem = lastName(of: path)
    // Names have at most 255 bytes.
    while stem.utf8.count > 200 { stem.removeLast() }
    let number = String(UInt64.random(in: .min ... .max), radix: 36)
    return "\(folder(of: path)).\(stem).\(number).partial"
  }

  private static func target(of link: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { readlink(link, $0.baseAddress!, $0.count) }
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  /// Whether a name is a device or a process's descriptor. Files in shared memory are files.
  private static func isOfSystem(_ path: String) -> Bool {
    let folder = folder(of: path)
    guard let resolved = realpath(folder.isEmpty ? "." : folder, nil) else { return false }
    defer { free(resolved) }
    let real = String(cString: resolved) + "/"
    return (real.hasPrefix("/dev/") && !real.hasPrefix("/dev/shm/")) || real.hasPrefix("/proc/")
  }
}

/// Who may do what with a file that is replaced: the new one takes it over.
struct Permissions {
  private let mode: mode_t
  private let user: uid_t
  private let group: gid_t

  init(_ status: stat) {
    (mode, user, group) = (status.st_mode & 0o777, status.st_uid, status.st_gid)
  }

  /// Gives them to a file or folder that only its owner may use so far; as far as this user and the file system can.
  func apply(to descriptor: Int32) {
    if fchown(descriptor, user, group) != 0 { _ = fchown(descriptor, uid_t.max, group) }
    fchmod(descriptor, mode)
  }
}

/// A name that a file or folder has taken from what had it.
struct TakenPlace {
  private let destination: String, path: String
  /// Where what had the name lies; `nil` when nothing had it.
  let earlier: String?

  /// In one step where the file system can exchange two names.
  ///
  /// `nil` when it cannot be: then everything is as it was, and `errno` says why.
  init?(of destination: String, by path: String) {
    (self.destination, self.path) = (destination, path)
    if files_exchange(path, destination) == 0 {
      earlier = path
      return
    }
    let aside = Destination.temporaryPath(beside: destination)
    let isThere = rename(destination, aside) == 0
    guard isThere || errno == ENOENT, rename(path, destination) == 0 else {
      let reason = errno
      if isThere { rename(aside, destination) }
      errno = reason
      return nil
    }
    earlier = isThere ? aside : nil
  }

  /// Brings both back to where they were.
  func giveBack() {
    if earlier == path {
      _ = files_exchange(path, destination)
    } else {
      rename(destination, path)
      if let earlier { rename(earlier, destination) }
    }
  }
}
