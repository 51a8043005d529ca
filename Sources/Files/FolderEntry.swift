import FoundationEssentials
import Platform

/// Something in a folder, as it is itself: links are not followed.
package struct FolderEntry {
  package enum Kind { case file, folder, link, other }

  package let path: String
  /// From the folder that was asked for.
  package let relativePath: String
  package let kind: Kind
  let status: stat

  /// Whether a folder is at a path, or a link to one.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Everything in a folder, folders before what is in them; nothing where it cannot be read.
  package static func all(below folder: String) -> [FolderEntry] { all(below: folder, most: .max) ?? [] }

  /// - Returns: `nil` when there are more than `most`.
  static func all(below folder: String, most: Int) -> [FolderEntry]? {
    var entries: [FolderEntry] = []
    return add(folder, at: "", to: &entries, most: most) ? entries : nil
  }

  private static func add(
    _ folder: String, at relativePath: String, to entries: inout [FolderEntry], most: Int
  ) -> Bool {
    for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
      guard entries.count < most else { return false }
      let path = "\(folder)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { continue }
      let kind: Kind =
        switch status.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .folder
        case S_IFLNK: .link
        default: .other
        }
      entries.append(FolderEntry(path: path, relativePath: relativePath + name, kind: kind, status: status))
      if kind == .folder, !add(path, at: "\(relativePath)\(name)/", to: &entries, most: most) { return false }
    }
    return true
  }
}
