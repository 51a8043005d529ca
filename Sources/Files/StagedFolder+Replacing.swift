import CFiles
import FoundationEssentials
import Platform

extension StagedFolder: Unpublished {
  package func prepare() throws(FileError) {
    try checkReplaced()
    if replaced != nil, !isInside { try carryOver() }
    let isSynced =
      Publication.sync(folder: path)
      && FolderEntry.all(below: path).allSatisfy { $0.kind != .folder || Publication.sync(folder: $0.path) }
    guard isSynced else { throw FileError(.system(operation: "sync", reason: systemReason()), path: name) }
  }

  // MARK: What stays

  /// Puts everything that is not replaced into the new folder too: files as further names of the same ones, so that it costs
  /// no room.
  private func carryOver() throws(FileError) {
    let entries = FolderEntry.all(below: destination)
    let replaced = entries.filter { self.replaced!.contains($0.relativePath) }.map(\.relativePath)
    for entry in entries where !self.replaced!.contains(entry.relativePath) {
      // A folder of replaced files is made where the new ones, or others in it, need it.
      if entry.kind == .folder, replaced.contains(where: { $0.hasPrefix(entry.relativePath + "/") }) { continue }
      let copy = "\(path)/\(entry.relativePath)"
      var status = stat()
      if lstat(copy, &status) == 0 {
        // Folders may be of both, and a file may be here already from an earlier attempt.
        guard entry.kind == .folder && status.st_mode & S_IFMT == S_IFDIR || entry.isSame(as: status, at: copy) else {
          throw FileError(
            .notWritable(reason: "\(entry.relativePath) in it is not of an earlier run, and would be replaced"),
            path: name)
        }
        continue
      }
      try makeFolders(above: entry.relativePath)
      if entry.kind == .folder {
        try make(copy)
        Self.give(Permissions(entry.status), to: copy)
        continue
      }
      let isCopied = Interruption.uninterrupted {
        let registration = Interruption.register(copy)
        let isCopied = entry.carry(to: copy)
        if isCopied { contents.append((copy, registration)) } else { Interruption.forget(registration) }
        return isCopied
      }
      guard isCopied else {
        throw FileError(
          .notWritable(reason: "\(entry.relativePath) in it cannot be kept: \(systemReason())"), path: name)
      }
    }
    var status = stat()
    if stat(destination, &status) == 0 { Self.give(Permissions(status), to: path) }
  }

  private func makeFolders(above relativePath: String) throws(FileError) {
    var folder = path
    for name in relativePath.split(separator: "/").dropLast() {
      folder += "/\(name)"
      if access(folder, F_OK) != 0 { try make(folder) }
    }
  }

  private static func give(_ permissions: Permissions, to folder: String) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    permissions.apply(to: descriptor)
    close(descriptor)
  }

  // MARK: Names

  package func takePlace(isAlone: Bool) throws(FileError) {
    if isInside { return try moveFiles() }
    guard replaced != nil else { return try takeNewPlace() }
    taken = TakenPlace(of: destination, by: path)
    guard taken != nil else { throw failure() }
  }

  private func takeNewPlace() throws(FileError) {
    if files_rename_to_new(path, destination) == 0 { return }
    guard errno != EEXIST else { throw FileError(.folderExists, path: name) }
    // Where the system cannot tell, a look before must do.
    let cannotTell = [EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP].contains(errno)
    guard cannotTell else { throw failure() }
    guard access(destination, F_OK) != 0 else { throw FileError(.folderExists, path: name) }
    guard rename(path, destination) == 0 else { throw failure() }
  }

  /// Puts the files into a folder that stays where it is, one by one.
  private func moveFiles() throws(FileError) {
    do throws(FileError) {
      for file in files {
        let place = "\(destination)/\(file)", folder = Destination.folder(of: place)
        if access(folder, F_OK) != 0 { mkdir(folder, 0o777) }
        guard let taken = TakenPlace(of: place, by: "\(path)/\(file)") else { throw failure() }
        moved.append(taken)
      }
      for file in replaced!.subtracting(files).sorted() where access("\(destination)/\(file)", F_OK) == 0 {
        let aside = Destination.temporaryPath(beside: "\(destination)/\(file)")
        guard rename("\(destination)/\(file)", aside) == 0 else { throw failure() }
        removed.append((file, aside))
      }
    } catch {
      giveBack()
      throw error
    }
  }

  private func failure() -> FileError { FileError(.notWritable(reason: systemReason()), path: name) }

  package func giveBack() {
    guard !isInside else {
      for (file, earlier) in removed { rename(earlier, "\(destination)/\(file)") }
      for taken in moved.reversed() { taken.giveBack() }
      (moved, removed) = ([], [])
      return
    }
    if let taken { taken.giveBack() } else { rename(destination, path) }
    taken = nil
  }

  package func settle() {
    if isInside {
      for file in moved.compactMap(\.earlier) + removed.map(\.earlier) { unlink(file) }
      for file in removed.map(\.file) where file.contains("/") {
        rmdir("\(destination)/\(Destination.folder(of: file).dropLast())")
      }
      // Of the staged folder only its own folders are left.
      for item in contents.reversed() { rmdir(item.path) }
    }
    if let earlier = taken?.earlier { removeReplaced(earlier) }
    (taken, moved, removed) = (nil, [], [])
    release()
  }

  /// Removes an earlier folder, but nothing of which there is no other: what came into it in the last moment goes into the
  /// new one.
  private func removeReplaced(_ folder: String) {
    // A folder that could not be listed once may be the second time; what stays then lies there under an unfinished name.
    for _ in 0..<2 {
      for entry in FolderEntry.all(below: folder).reversed() { remove(entry) }
      if rmdir(folder) == 0 { return }
    }
  }

  private func remove(_ entry: FolderEntry) {
    guard entry.kind != .folder else {
      rmdir(entry.path)
      return
    }
    let copy = "\(destination)/\(entry.relativePath)"
    var status = stat()
    let isThere = lstat(copy, &status) == 0
    if replaced!.contains(entry.relativePath) || isThere && entry.isSame(as: status, at: copy) {
      unlink(entry.path)
    } else if !isThere {
      rename(entry.path, copy)
    }
  }
}

extension FolderEntry {
  /// Whether what lies elsewhere is this, or a copy.
  fileprivate func isSame(as other: stat, at copy: String) -> Bool {
    guard status.st_mode & S_IFMT == other.st_mode & S_IFMT else { return false }
    if kind == .link {
      let targets = [path, copy].map { try? FileManager.default.destinationOfSymbolicLink(atPath: $0) }
      return targets[0] != nil && targets[0] == targets[1]
    }
    return InputFiles.Place(status) == InputFiles.Place(other)
      || kind == .file && InputFiles.Identity(status).isSameContent(as: InputFiles.Identity(other))
  }

  /// Gives a file or link a further name, or copies it where that cannot be.
  fileprivate func carry(to copy: String) -> Bool {
    switch kind {
    case .link:
      guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { return false }
      return symlink(target, copy) == 0
    case .file:
      if link(path, copy) == 0 { return true }
      guard (try? FileManager.default.copyItem(atPath: path, toPath: copy)) != nil else { return false }
      // As old as the first: so that it can be told that nobody changed it meanwhile.
      var times = [status.accessed, status.modified]
      return utimensat(AT_FDCWD, copy, &times, 0) == 0
    case .folder, .other:
      errno = ENOTSUP
      return false
    }
  }
}
