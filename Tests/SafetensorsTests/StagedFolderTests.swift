import FoundationEssentials
import Safetensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Proves that a folder appears whole or not at all, that none is replaced unless that is asked for, and that a disk without
/// room is refused.
@Suite struct StagedFolderTests {
  private func write(_ text: String, to path: String) throws {
    let file = try TemporaryFile(for: path, overwriting: false)
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try file.commit()
  }

  private func message(_ work: () throws -> Void) -> String? {
    (#expect(throws: SafetensorsError.self) { try work() }).map { String(describing: $0) }
  }

  private func tree(_ path: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
  }

  @Test("the folder appears on commit with all that is in it", arguments: ["out", "out/"])
  func commit(name: String) throws {
    let folder = try TemporaryFolder(), staged = try StagedFolder(for: folder.file(name))
    for place in ["a.json", "unet/b", "unet/deep/er/c", "vae/d"] { try write(place, to: staged.place(for: place)) }
    let before = try folder.names
    #expect(before.count == 1 && before[0] == ".out.\(getpid()).partial")
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
      try write("x", to: staged.place(for: "unet/deep/x"))
      // One that is begun and not finished, and one that is only promised.
      let open = try TemporaryFile(for: staged.place(for: "unet/y"), overwriting: false)
      try Array("y".utf8).withUnsafeBytes { try open.write($0, at: 0) }
      _ = try staged.place(for: "vae/z")
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
      try write("mine", to: staged.place(for: "x"))
      try folder.write([1], to: "out")
      #expect(message { try staged.commit() } == text)
    }
    #expect(try folder.names == ["out"] && folder.bytes(of: "out") == [1])
  }

  @Test("a folder of the same process in the way is named and left alone")
  func collision() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    let first = try StagedFolder(for: path)
    #expect(message { _ = try StagedFolder(for: path) } == "\(path): cannot create: File exists")
    try write("x", to: first.place(for: "x"))
    try first.commit()
    #expect(try tree(path) == ["x"])
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
    let first = try StagedFolder(for: path, replacing: true)
    for place in ["old", "unet/old"] { try write("1", to: first.place(for: place)) }
    try first.commit()
    let second = try StagedFolder(for: path, replacing: true)
    try write("2", to: second.place(for: "new"))
    #expect(try tree(folder.file("out")) == ["old", "unet", "unet/old"])
    try second.commit()
    #expect(try folder.names == ["out"] && tree(folder.file("out")) == ["new"])
  }

  @Test("a folder stays when the new one is given up, or cannot be moved into its place")
  func failed() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try folder.write([1], to: "out/old")
    do {
      let staged = try StagedFolder(for: path, replacing: true)
      try write("2", to: staged.place(for: "new"))
    }
    #expect(try folder.names == ["out"] && tree(path) == ["old"])
    // The earlier folder has been moved aside when it turns out that there is nothing to put in its place.
    do {
      let staged = try StagedFolder(for: path, replacing: true)
      try FileManager.default.removeItem(atPath: staged.path)
      #expect(message { try staged.commit() } == "\(path): cannot create: No such file or directory")
    }
    #expect(try folder.names == ["out"] && folder.bytes(of: "out/old") == [1])
  }

  @Test("a file is no folder, and is never replaced")
  func file() throws {
    let folder = try TemporaryFolder(), path = try folder.write([1], to: "out")
    #expect(
      message { _ = try StagedFolder(for: path, replacing: true) }
        == "\(path): exists already; hint: a folder is never replaced, give a new name")
    #expect(try folder.bytes(of: "out") == [1])
  }

  @Test("what a killed run left behind does not stop the next one")
  func leftover() throws {
    let folder = try TemporaryFolder(), path = folder.file("out")
    for name in ["out", ".out.\(getpid()).partial.old", ".out.1.partial", "out.new"] {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: false)
      try folder.write([1], to: "\(name)/old")
    }
    let staged = try StagedFolder(for: path, replacing: true)
    try write("2", to: staged.place(for: "new"))
    try staged.commit()
    #expect(try tree(path) == ["new"])
    #expect(try folder.names.sorted() == [".out.1.partial", "out", "out.new"])
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
