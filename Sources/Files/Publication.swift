import Platform

/// An output that is complete under a temporary name.
package protocol Unpublished: AnyObject {
  /// Brings everything to the disk, and looks whether the name can still be given. May be called again.
  func prepare() throws(FileError)
  /// Takes the name, and keeps what had it until `settle` or `giveBack`.
  ///
  /// - Parameter isAlone: whether nothing can fail after it, so that nothing need be kept.
  func takePlace(isAlone: Bool) throws(FileError)
  /// Undoes `takePlace`.
  func giveBack()
  /// Removes what had the name.
  func settle()
  /// The name, links followed.
  var destination: String { get }
}

/// Gives outputs their names.
package enum Publication {
  /// All get their names, or none does.
  ///
  /// Several names cannot be given in one step. A failure takes back those that were given; signals wait. Of a process that is
  /// killed outright the first names may be given and the others not: then nothing is lost either, for what had a name lies
  /// beside it until the last one is given, and what was to get one lies there complete, both under names that end in `.partial`.
  ///
  /// - Throws: `FileError`, also `changed` when a file that the outputs were made from is not what it was.
  package static func publish(_ outputs: [any Unpublished]) throws(FileError) {
    for output in outputs { try output.prepare() }
    try InputFiles.requireUnchanged()
    try Interruption.uninterrupted { () throws(FileError) in
      var done: [any Unpublished] = []
      do throws(FileError) {
        for output in outputs {
          try output.takePlace(isAlone: outputs.count == 1)
          done.append(output)
        }
      } catch {
        for output in done.reversed() { output.giveBack() }
        throw error
      }
      // What is tried and thrown away settles nothing.
      if outputs.contains(where: { !Interruption.isUnfinished($0.destination) }) { InputFiles.settle() }
      for output in outputs { output.settle() }
    }
    for folder in Set(outputs.map { Destination.folder(of: $0.destination) }) { _ = sync(folder: folder) }
  }

  /// Waits until the names in a folder are on the disk.
  ///
  /// - Returns: whether they are; file systems that cannot say so count as done.
  static func sync(folder: String) -> Bool {
    let descriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    let isSynced = fsync(descriptor) == 0 || [EINVAL, ENOTSUP, EOPNOTSUPP].contains(errno)
    let reason = errno
    close(descriptor)
    errno = reason
    return isSynced
  }
}
