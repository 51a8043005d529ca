import Platform

/// What a disk can still take.
public enum DiskSpace {
  /// Bytes that this user can write to the file system of `path`'s folder; `nil` where the system does not tell.
  public static func available(for path: String) -> Int? {
    let path = path.hasSuffix("/") ? String(path.dropLast()) : path
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    return Int(status.f_bavail) * Int(status.f_frsize)
  }

  /// Refuses, before any work, an output that the disk cannot hold.
  public static func require(_ bytes: Int, for path: String) throws(FileError) {
    guard let available = available(for: path), available < bytes else { return }
    throw FileError(.noSpace(needed: bytes, available: available), path: path)
  }
}
