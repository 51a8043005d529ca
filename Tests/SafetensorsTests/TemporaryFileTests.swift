import FoundationEssentials
import Safetensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Proves that an output appears whole or not at all, and that nothing that exists is lost without being asked for.
@Suite struct TemporaryFileTests {
  private func write(_ text: String, to file: TemporaryFile, at offset: Int = 0) throws {
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: offset) }
  }

  private func message(_ work: () throws -> Void) -> String? {
    (#expect(throws: SafetensorsError.self) { try work() }).map { String(describing: $0) }
  }

  @Test("the file appears under its name on commit, and nothing else stays")
  func commit() throws {
    let folder = try TemporaryFolder()
    let file = try TemporaryFile(for: folder.file("out"), overwriting: false)
    try write("world", to: file, at: 6)
    try write("hello ", to: file)
    let unfinished = try folder.names
    #expect(
      unfinished.count == 1 && unfinished[0].hasPrefix(".out.\(getpid())-") && unfinished[0].hasSuffix(".partial"))
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
        == "\(path): exists already; hint: --force overwrites it")
    #expect(
      message { try TemporaryFile.checkDestination(path, overwriting: false) }
        == "\(path): exists already; hint: --force overwrites it")
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
      #expect(message { try file.commit() } == "\(path): exists already; hint: --force overwrites it")
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
}
