import Files
import Foundation
import Safetensors
import Tensors
import TestSupport
import Testing

/// A bake that is stopped, or for which the disk is too small, leaves its inputs as they were and no output.
@Suite(.serialized) struct BakeInterruptionTests {
  private func hash(_ path: String) throws -> String {
    ContentHash.sha256(streaming: try MappedFile(path: path).bytes)
  }

  @Test("kill -9 at random moments: inputs intact, no output, and the next run works")
  func killed() throws {
    let folder = try TemporaryFolder(), (base, adapter) = try Fixture.large(in: folder)
    let out = folder.file("out.safetensors"), streams = try TemporaryFolder(), before = try hash(base)
    let arguments = ["bake", base, adapter, "-o", out, "--undo", folder.file("undo"), "--rounding", "shaped"]
    let start = Date()
    #expect(try Tool.run(arguments).status == 0)
    let duration = Date().timeIntervalSince(start), expected = try hash(out)
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SplitMix64(seed: seed), killedCount = 0
    for _ in 0..<10 {
      for name in ["out.safetensors", "undo"] where try folder.names.contains(name) {
        try FileManager.default.removeItem(atPath: folder.file(name))
      }
      let process = try Tool.start(arguments, output: streams.file("o"), errors: streams.file("e"))
      usleep(UInt32(random.uniform() * duration * 0.95 * 1e6))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      guard process.terminationReason == .uncaughtSignal else { continue }
      killedCount += 1
      // The last step may have been done already; a file under the name is then whole.
      if try folder.names.contains("out.safetensors") { #expect(try hash(out) == expected, "seed \(seed)") }
      #expect(try hash(base) == before, "seed \(seed)")
    }
    #expect(killedCount >= 5, "seed \(seed): \(killedCount) of 10 were killed")
    let again = try Tool.run(arguments + ["--force"])
    #expect(again.status == 0 && again.errors.isEmpty, "seed \(seed)")
    #expect(try hash(out) == expected, "seed \(seed)")
  }

  @Test("a signal in the middle leaves nothing, of a file and of a folder", arguments: [SIGINT, SIGTERM], [1, 2])
  func signal(_ signal: Int32, shards: Int) throws {
    let folder = try TemporaryFolder(), (base, adapter) = try Fixture.large(in: folder, count: 8, shards: shards)
    let streams = try TemporaryFolder(), before = try folder.names
    let process = try Tool.start(
      ["bake", base, adapter, "-o", folder.file("out"), "--rounding", "shaped", "--threads", "1"],
      output: streams.file("o"), errors: streams.file("e"))
    while process.isRunning, try folder.names == before { usleep(500) }
    usleep(20_000)
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == 128 + signal)
    #expect(try folder.names == before)
  }

  @Test("a signal in the middle of an unbake leaves nothing")
  func unbakeSignal() throws {
    let folder = try TemporaryFolder(), (base, adapter) = try Fixture.large(in: folder, count: 8, shards: 2)
    let out = folder.file("out"), undo = folder.file("undo"), streams = try TemporaryFolder()
    #expect(try Tool.run(["bake", base, adapter, "-o", out, "--undo", undo]).status == 0)
    let before = try folder.names
    let process = try Tool.start(
      ["unbake", out, "--undo", undo, "-o", folder.file("back"), "--threads", "1"], output: streams.file("o"),
      errors: streams.file("e"))
    while process.isRunning, try folder.names == before { usleep(500) }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 128 + SIGINT)
    #expect(try folder.names == before)
  }

  // MARK: Full disks

  @Test("a limit on file sizes fails like a full disk", arguments: ["bake", "unbake"])
  func fileLimit(command: String) throws {
    let folder = try TemporaryFolder(), style = try Fixture.adapter(in: folder), base = try Fixture.base(in: folder)
    let out = folder.file("out"), undo = folder.file("undo")
    #expect(try Tool.run(["bake", base, style, "-o", out, "--undo", undo]).status == 0)
    let before = try folder.names, target = folder.file("new")
    let arguments = command == "bake" ? ["bake", base, style] : ["unbake", out, "--undo", undo]
    let run = try Tool.run(arguments + ["-o", target], after: "ulimit -f 60")
    #expect(run.status == 74 && run.output.isEmpty)
    #expect(run.errors == "lathe: error: \(target): cannot write: File too large\n")
    #expect(try folder.names == before)
  }

  /// A file system of a few megabytes in memory, as long as the value lives.
  private final class SmallDisk {
    let path: String

    init(_ folder: TemporaryFolder, bytes: Int) throws {
      path = folder.file("disk")
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      guard Self.run("mount", ["-t", "tmpfs", "-o", "size=\(bytes)", "tmpfs", path]) == 0 else {
        throw CocoaError(.fileWriteUnknown)
      }
    }

    deinit { _ = Self.run("umount", [path]) }

    static func run(_ command: String, _ arguments: [String]) -> Int32 {
      let process = Process()
      process.executableURL = URL(filePath: "/bin/\(command)")
      process.arguments = arguments
      process.standardError = FileHandle.nullDevice
      guard (try? process.run()) != nil else { return -1 }
      process.waitUntilExit()
      return process.terminationStatus
    }

    /// Mounting takes root and a system that lets it.
    static let isPossible: Bool = {
      guard geteuid() == 0, let folder = try? TemporaryFolder() else { return false }
      return (try? SmallDisk(folder, bytes: 1 << 20)) != nil
    }()
  }

  @Test(
    "a disk that is too small is refused before the work; one that fills up stops it",
    .enabled(if: SmallDisk.isPossible, "mounting a file system takes root"))
  func fullDisk() throws {
    let folder = try TemporaryFolder(), style = try Fixture.adapter(in: folder)
    // A long header, which the first look does not count.
    var tensors = (0..<800).map { filler("model.diffusion_model.padding.number.\($0).weight", [128], .f16) }
    let file = try SafetensorsFile(path: Fixture.base(in: folder))
    tensors += file.entries.map { ($0.name, $0.shape.extents, $0.dtype, file.tensor($0).doubles()) }
    let base = folder.file("padded.safetensors")
    try writeAdapter(to: base, tensors: tensors)
    let size = try SafetensorsFile(path: base).data.count

    for (room, status, message) in [
      (size / 2, 73, "disk: expected "), (size + 8192, 74, "cannot write: No space left on device"),
    ] as [(Int, Int32, String)] {
      let disk = try SmallDisk(folder, bytes: room), target = disk.path + "/out"
      let run = try Tool.run(["bake", base, style, "-o", target])
      #expect(run.status == status && run.output.isEmpty)
      #expect(run.errors.hasPrefix("lathe: error: \(target): \(message)"), "\(run.errors)")
      #expect(run.errors.split(separator: "\n").count == 1)
      #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path).isEmpty)
      withExtendedLifetime(disk) {}
      _ = SmallDisk.run("umount", [disk.path])
      try FileManager.default.removeItem(atPath: disk.path)
    }
  }
}
