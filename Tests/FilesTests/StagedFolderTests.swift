import Files
import FoundationEssentials
import Platform
import TestSupport
import Testing

/// Proves that a folder appears whole or not at all, that none is replaced unless that is asked for, and that a disk without
/// room is refused.
@Suite struct StagedFolderTests {
  private func write(_ text: String, to path: String, in folder: StagedFolder) throws {
    let file = try folder.file(path)
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try file.commit()
  }

  private func message(_ work: () throws -> Void) -> String? {
    (#expect(throws: FileError.self) { try work() }).map { String(describing: $0) }
  }

  private func tree(_ path: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
  }

  @Test("the folder appears on commit with all that is in it", arguments: ["out", "out/"])
  func commit(name: String) throws {
    let folder = try TemporaryFolder(), staged = try StagedFolder(for: folder.file(name))
    for place in ["a.json", "unet/b", "unet/deep/er/c", "vae/d"] { try write(place, to: place, in: staged) }
    let before = try folder.names
    #expect(before.count == 1 && before[0].hasPrefix(".out.") && before[0].hasSuffix(".partial"))
    try staged.commit()
    #expect(try folder.names == ["out"])
    #expect(
      try tree(folder.file("out")) == [
        "a.json", "unet", "unet/b", "unet/deep", "unet/deep/er", "unet/deep/er/c", "vae", "vae/d",
      ])
    #expect(try folder.bytes(of: "out/unet/deep/er/c") == Array("unet/deep/er/c".utf8))
  }

  @Test("a folder that is given up leaves nothing")
  func abandoned() throws {
    let folder = try TemporaryFolder()
    do {
      let staged = try StagedFolder(for: folder.file("out"))
      try write("x", to: "unet/deep/x", in: staged)
      // One that is begun and not finished.
      let open = try staged.file("unet/y")
      try Array("y".utf8).withUnsafeBytes { try open.write($0, at: 0) }
      #expect(try folder.names.count == 1)
    }
    #expect(try folder.names.isEmpty)
  }

  @Test("what exists is never replaced, and keeps what it has")
  func existing() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    let text = "\(path): exists already; hint: a folder is never replaced, give a new name"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(message { _ = try StagedFolder(for: path) } == text)
    #expect(message { _ = try StagedFolder(for: path + "/") } == text)
    try FileManager.default.removeItem(atPath: path)
    // One that appears in the meantime.
    do {
      let staged = try StagedFolder(for: path)
      try write("mine", to: "x", in: staged)
      try folder.write([1], to: "out")
      #expect(message { try staged.commit() } == text)
    }
    #expect(try folder.names == ["out"] && folder.bytes(of: "out") == [1])
  }

  @Test("two that are made at the same time do not meet, and the first has the name")
  func collision() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    do {
      let first = try StagedFolder(for: path), second = try StagedFolder(for: path)
      for (text, staged) in [("x", first), ("y", second)] { try write(text, to: text, in: staged) }
      try first.commit()
      #expect(
        message { try second.commit() } == "\(path): exists already; hint: a folder is never replaced, give a new name")
    }
    #expect(try tree(path) == ["x"] && folder.names == ["out"])
  }

  @Test("a place that cannot be made is named")
  func missing() throws {
    let folder = try TemporaryFolder(), path = folder.file("none/out")
    #expect(
      message { _ = try StagedFolder(for: path) }
        == "\(path): cannot create: \(folder.file("none/")): No such file or directory")
    #expect(try folder.names.isEmpty)
  }

  // MARK: Replacing

  @Test("a folder is replaced when the new one is complete, and not before", arguments: ["out", "out/"])
  func replaced(name: String) throws {
    let folder = try TemporaryFolder(), path = folder.file(name)
    let first = try StagedFolder(for: path, replacing: [])
    for place in ["old", "unet/old"] { try write("1", to: place, in: first) }
    try first.commit()
    let second = try StagedFolder(for: path, replacing: ["old", "unet/old"])
    try write("2", to: "new", in: second)
    #expect(try tree(folder.file("out")) == ["old", "unet", "unet/old"])
    try second.commit()
    #expect(try folder.names == ["out"] && tree(folder.file("out")) == ["new"])
  }

  @Test("what else is in a folder that is replaced stays, as it is")
  func carriedOver() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    try FileManager.default.createDirectory(atPath: path + "/deep/er", withIntermediateDirectories: true)
    for name in ["old", "mine", "deep/er/mine", "deep/old"] { try folder.write(Array(name.utf8), to: "out/\(name)") }
    try FileManager.default.createSymbolicLink(atPath: path + "/link", withDestinationPath: "nowhere")
    chmod(path, 0o700)
    let staged = try StagedFolder(for: path, replacing: ["old", "deep/old", "new"])
    try write("2", to: "new", in: staged)
    // One that comes in the last moment.
    try staged.prepare()
    try folder.write([7], to: "out/late")
    try staged.commit()
    #expect(try folder.names == ["out"])
    #expect(try tree(path) == ["deep", "deep/er", "deep/er/mine", "late", "link", "mine", "new"])
    #expect(try folder.bytes(of: "out/deep/er/mine") == Array("deep/er/mine".utf8))
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o700)
  }

  @Test("a folder stays when the new one is given up, or cannot be moved into its place")
  func failed() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try folder.write([1], to: "out/old")
    do {
      let staged = try StagedFolder(for: path, replacing: ["old"])
      try write("2", to: "new", in: staged)
    }
    #expect(try folder.names == ["out"] && tree(path) == ["old"])
    do {
      let staged = try StagedFolder(for: path, replacing: ["old"])
      try FileManager.default.removeItem(atPath: staged.path)
      #expect(message { try staged.commit() } != nil)
    }
    #expect(try folder.names == ["out"] && folder.bytes(of: "out/old") == [1])
  }

  @Test("a file is no folder, and is never replaced; nor is a link in a folder")
  func file() throws {
    let folder = try TemporaryFolder(), path = try folder.write([1], to: "out")
    #expect(
      message { _ = try StagedFolder(for: path, replacing: []) }
        == "\(path): exists already; hint: a folder is never replaced, give a new name")
    #expect(try folder.bytes(of: "out") == [1])
    try FileManager.default.createDirectory(atPath: folder.file("d"), withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(atPath: folder.file("d/old"), withDestinationPath: "../out")
    #expect(
      message { _ = try StagedFolder(for: folder.file("d"), replacing: ["old"]) }
        == "\(folder.file("d"))/old: cannot create: it is a symbolic link")
  }

  @Test("what a killed run left behind does not stop the next one")
  func leftover() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    for name in ["out", ".out.\(getpid()).partial", ".out.1.partial", "out.new"] {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: false)
      try folder.write([1], to: "\(name)/old")
    }
    let staged = try StagedFolder(for: path, replacing: ["old"])
    try write("2", to: "new", in: staged)
    try staged.commit()
    #expect(try tree(path) == ["new"])
    #expect(try folder.names.sorted() == [".out.1.partial", ".out.\(getpid()).partial", "out", "out.new"].sorted())
  }

  // MARK: Room

  @Test("an output larger than the disk is refused with both sizes", arguments: ["out", "out/"])
  func noSpace(name: String) throws {
    let folder = try TemporaryFolder(), path = folder.file(name)
    let available = try #require(DiskSpace.available(for: path))
    #expect(available > 0)
    try DiskSpace.require(1, for: path)
    let text = try #require(message { try DiskSpace.require(.max / 2, for: path) })
    #expect(text.hasPrefix("\(path): disk: expected ") && text.contains(" free, found "), "\(text)")
    #expect(text.hasSuffix("; hint: free some or write elsewhere"), "\(text)")
  }
}
