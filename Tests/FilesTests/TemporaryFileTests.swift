import Files
import FoundationEssentials
import Platform
import TestSupport
import Testing

/// Proves that an output appears whole or not at all, and that nothing that exists is lost without being asked for.
@Suite struct TemporaryFileTests {
  private func write(_ text: String, to file: TemporaryFile, at offset: Int = 0) throws {
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: offset) }
  }

  private func message(_ work: () throws -> Void) -> String? {
    (#expect(throws: FileError.self) { try work() }).map { String(describing: $0) }
  }

  @Test("the file appears under its name on commit, and nothing else stays")
  func commit() throws {
    let folder = try TemporaryFolder()
    let file = try TemporaryFile(for: folder.file("out"), overwriting: false)
    try write("world", to: file, at: 6)
    try write("hello ", to: file)
    let unfinished = try folder.names
    #expect(unfinished.count == 1 && unfinished[0].hasPrefix(".out.") && unfinished[0].hasSuffix(".partial"))
    try file.commit()
    #expect(try folder.names == ["out"])
    #expect(try folder.bytes(of: "out") == Array("hello world".utf8))
  }

  @Test("a file that is given up leaves nothing, and leaves an older file alone", arguments: [true, false])
  func abandoned(overwriting: Bool) throws {
    let folder = try TemporaryFolder()
    if overwriting { try folder.write([1, 2, 3], to: "out") }
    do {
      let file = try TemporaryFile(for: folder.file("out"), overwriting: overwriting)
      try write("half", to: file)
    }
    #expect(try folder.names == (overwriting ? ["out"] : []))
    if overwriting { #expect(try folder.bytes(of: "out") == [1, 2, 3]) }
  }

  @Test("an existing file is refused, and kept")
  func exists() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([1, 2, 3], to: "out")
    #expect(
      message { _ = try TemporaryFile(for: path, overwriting: false) }
        == "\(path): exists already")
    #expect(
      message { try TemporaryFile.checkDestination(path, overwriting: false) }
        == "\(path): exists already")
    #expect(try folder.names == ["out"] && folder.bytes(of: "out") == [1, 2, 3])
  }

  @Test("an existing file is replaced when asked for")
  func overwrite() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([1, 2, 3], to: "out")
    let file = try TemporaryFile(for: path, overwriting: true)
    try write("new", to: file)
    #expect(try folder.bytes(of: "out") == [1, 2, 3])
    try file.commit()
    #expect(try folder.names == ["out"] && folder.bytes(of: "out") == Array("new".utf8))
  }

  @Test("a file that appeared meanwhile is kept, and the commit refused")
  func race() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("out")
    do {
      let file = try TemporaryFile(for: path, overwriting: false)
      try write("mine", to: file)
      try folder.write([9], to: "out")
      #expect(message { try file.commit() } == "\(path): exists already")
    }
    #expect(try folder.names == ["out"] && folder.bytes(of: "out") == [9])
  }

  @Test("a folder in the way is refused even with overwriting")
  func folderInTheWay() throws {
    let folder = try TemporaryFolder()
    #expect(
      message { _ = try TemporaryFile(for: folder.path, overwriting: true) }
        == "\(folder.path): cannot create: it exists and is not a regular file")
  }

  @Test("a folder that does not exist is named")
  func missingFolder() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("none/out")
    #expect(
      message { _ = try TemporaryFile(for: path, overwriting: false) }
        == "\(path): cannot create: \(folder.file("none/")): No such file or directory")
  }

  @Test("a folder that may not be written is named, and nothing is made in it")
  func permission() throws {
    // Root may write everywhere but in the kernel's own folders, where making a file fails later.
    guard geteuid() != 0 else {
      let path = "/proc/self/lathe-test"
      #expect(
        message { _ = try TemporaryFile(for: path, overwriting: false) }?.hasPrefix("\(path): cannot create: ") == true)
      return
    }
    let folder = try TemporaryFolder()
    chmod(folder.path, 0o555)
    defer { chmod(folder.path, 0o755) }
    #expect(
      message { _ = try TemporaryFile(for: folder.file("out"), overwriting: false) }
        == "\(folder.file("out")): cannot create: \(folder.path)/: Permission denied")
    #expect(try folder.names.isEmpty)
  }

  @Test("a file that is replaced leaves its mode, read-only too, and its link", arguments: [0o600, 0o444, 0o640])
  func permissions(mode: Int) throws {
    let folder = try TemporaryFolder(), path = try folder.write([1], to: "blob"), link = folder.file("out")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "blob")
    chmod(path, mode_t(mode))
    let file = try TemporaryFile(for: link, overwriting: true)
    try write("new", to: file)
    try file.commit()
    var status = stat()
    #expect(stat(path, &status) == 0 && Int(status.st_mode & 0o777) == mode)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "blob")
    #expect(try folder.names.sorted() == ["blob", "out"] && folder.bytes(of: "blob") == Array("new".utf8))
  }

  @Test("links that lead nowhere, and the system's own names, are refused")
  func otherNames() throws {
    let folder = try TemporaryFolder(), link = folder.file("out")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "none")
    for overwriting in [false, true] {
      #expect(
        message { try TemporaryFile.checkDestination(link, overwriting: overwriting) }
          == "\(link): cannot create: it is a symbolic link that leads nowhere")
      #expect(
        message { try TemporaryFile.checkDestination("/dev/stdout", overwriting: overwriting) }
          == "/dev/stdout: cannot create: expected a file's name, found one of the system's")
    }
  }

  @Test("a name as long as the system allows has room for an unfinished one")
  func longName() throws {
    let folder = try TemporaryFolder(), name = String(repeating: "ü", count: 127)
    let file = try TemporaryFile(for: folder.file(name), overwriting: false)
    try write("x", to: file)
    try file.commit()
    #expect(try folder.names == [name])
  }

  // MARK: Several

  @Test("several files get their names together, or none does", arguments: [true, false])
  func together(exists: Bool) throws {
    let folder = try TemporaryFolder()
    for name in ["one", "two"] where exists { try folder.write([1], to: name) }
    func files() throws -> [TemporaryFile] {
      try ["one", "two"].map { name in
        let file = try TemporaryFile(for: folder.file(name), overwriting: exists)
        try write("new", to: file)
        return file
      }
    }
    // The second cannot be given: a folder has come to stand there.
    do {
      let pair = try files()
      if exists { try FileManager.default.removeItem(atPath: folder.file("two")) }
      try FileManager.default.createDirectory(atPath: folder.file("two/x"), withIntermediateDirectories: true)
      #expect(message { try Publication.publish(pair) } != nil)
    }
    #expect(try folder.names.sorted() == (exists ? ["one", "two"] : ["two"]))
    if exists { #expect(try folder.bytes(of: "one") == [1]) }
    try FileManager.default.removeItem(atPath: folder.file("two"))
    if exists { try folder.write([1], to: "two") }
    try Publication.publish(try files())
    #expect(try folder.names.sorted() == ["one", "two"])
    for name in ["one", "two"] { #expect(try folder.bytes(of: name) == Array("new".utf8)) }
  }

  @Test("many files at once are all cleaned up")
  func many() throws {
    let folder = try TemporaryFolder()
    do {
      let files = try (0..<20).map { try TemporaryFile(for: folder.file("out\($0)"), overwriting: false) }
      for file in files { try write("x", to: file) }
      #expect(try folder.names.count == 20)
      try files[7].commit()
    }
    #expect(try folder.names == ["out7"])
  }

  @Test("An empty name is refused, and leaves nothing in the current folder")
  func emptyName() throws {
    let before = try FileManager.default.contentsOfDirectory(atPath: ".").sorted()
    let error = #expect(throws: FileError.self) { try TemporaryFile(for: "", overwriting: true) }
    #expect(error?.description.contains("expected a name, found an empty one") == true)
    #expect(throws: FileError.self) { try TemporaryFile.checkDestination("", overwriting: true) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: ".").sorted() == before)
  }

  @Test("A file in memory is written and read like another, and is in no folder")
  func memory() throws {
    let file = try TemporaryFile(inMemory: "numbers"), bytes: [UInt8] = [1, 2, 3]
    try bytes.withUnsafeBytes { try file.write($0, at: 2) }
    #expect(try MappedFile(path: file.path).bytes.withUnsafeBytes(Array.init) == [0, 0, 1, 2, 3])
  }
}
