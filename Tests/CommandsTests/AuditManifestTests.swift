import Audit
import Factoring
import Foundation
import TestSupport
import Testing

@testable import Commands

/// Manifests on the command line: strengths are read, and what is broken is named before anything is written.
@Suite struct AuditManifestTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func rows(_ text: String, base: String? = "base") throws -> [AuditManifest.Row] {
    try AuditManifest(path: folder.write(Array(text.utf8), to: "list.csv"), base: base) {
      try? AdapterArgument($0).input
    }.rows
  }

  private func file(_ name: String) -> AdapterInput { AdapterInput(path: folder.file(name)) }

  @Test("a side has several adapters with strengths, and file names have spaces, quotes and commas")
  func sides() throws {
    let row = try rows(
      """
      name,base,before,after,prompts
      style v2,/models/sd15,"my style.st@0.8; b@home.st@0.5,0.25 ;/c d/e.st","a ""b"", c.st",p.txt
      """)[0]
    #expect(row.name == "style v2")
    #expect(row.pair.base == "/models/sd15")
    #expect(
      row.pair.before == [
        .init(path: folder.file("my style.st"), strength: 0.8),
        .init(path: folder.file("b@home.st"), strength: 0.5, textEncoderStrength: 0.25), .init(path: "/c d/e.st"),
      ])
    #expect(row.pair.after == [file("a \"b\", c.st")])
    #expect(row.pair.prompts == folder.file("p.txt"))
  }

  @Test("what is no adapter with a strength is named", arguments: ["y@1,2,3", "y@inf"])
  func strengths(text: String) throws {
    let error = try #require(throws: AuditBatchError.self) { try rows("name,before,after\na,x,\"\(text)\"\n") }
    #expect("\(error)".contains("row 2, a: after: expected FILE@STRENGTH, found \"\(text)\""), "\(error)")
    #expect(error.exitCode == 65)
  }

  @Test(
    "names that would leave the folder or meet another are refused before any work",
    arguments: [
      "../x", "/etc/x", "a/b", "a\\b", ".", "..", ".hidden", "index.md", "Results-1-of-2.CSV",
      String(repeating: "x", count: 201),
    ])
  func hostile(name: String) throws {
    let fixture = try AuditBatchFixture()
    let run = try fixture.run(
      fixture.manifest("name,before,after\nfine,1.safetensors,1.safetensors\n\"\(name)\",1.safetensors,1.safetensors\n")
    )
    #expect(run.status == 65)
    #expect(run.errors.contains("pairs.csv: row 3: name: expected the name of a folder, found "), "\(run.errors)")
    #expect(!fixture.exists(""))
    #expect(try fixture.folder.names == ["1.safetensors", "2.safetensors", "base.safetensors", "pairs.csv"])
  }

  @Test("other bytes than UTF-8 are refused, and a manifest that is not there is 66")
  func files() throws {
    let fixture = try AuditBatchFixture()
    let utf16 = try fixture.folder.write([0xff, 0xfe, 0x6e, 0, 0x61, 0], to: "utf16.csv")
    let run = try fixture.run(utf16)
    #expect(run.status == 65)
    #expect(run.errors.contains("expected UTF-8 text"))
    #expect(try fixture.run(fixture.folder.file("none.csv")).status == 66)
    for arguments in [["none"], [fixture.base, "--vae", "none"], [fixture.base, "--prompts", "none"]] {
      let run = try Tool.run(
        ["audit"] + arguments + ["--manifest", try fixture.manifest(rows: 1), "-o", fixture.output])
      #expect(run.status == 66)
      #expect(run.errors.contains("none: no such file"))
    }
    #expect(!fixture.exists(""))
  }

  @Test("a folder has its pairs in before and after, and one without its other half is a row that cannot be audited")
  func pairs() throws {
    let fixture = try AuditBatchFixture()
    let manager = FileManager.default
    for half in ["before", "after"] {
      try manager.createDirectory(atPath: fixture.folder.file("queue/\(half)"), withIntermediateDirectories: true)
    }
    for (file, copy) in [("1", "before/x"), ("1", "after/x"), ("2", "before/y"), ("2", "after/z")] {
      try manager.copyItem(
        atPath: fixture.folder.file("\(file).safetensors"),
        toPath: fixture.folder.file("queue/\(copy).safetensors"))
    }
    try fixture.folder.write([], to: "queue/before/.DS_Store")
    let run = try fixture.run(fixture.folder.file("queue/"))
    #expect(run.status == 2)
    #expect(run.output.contains("x: passed"))
    #expect(run.output.contains("y: not audited: \(fixture.folder.file("queue/after/y.safetensors")): no such file"))
    #expect(run.output.contains("z: not audited: \(fixture.folder.file("queue/before/z.safetensors")): no such file"))
    #expect(try fixture.run(fixture.folder.file("queue/before")).status == 66)
  }

  @Test(
    "options that do not go together are refused",
    arguments: [
      ["--shard", "1/2"], ["--collect"], ["--manifest", "x.csv"], ["--manifest", "x.csv", "-o", "y", "--before", "z"],
      ["--manifest", "x.csv", "-o", "y", "--collect", "--shard", "1/2"], ["--before", "x", "-o", "y"],
      ["--manifest", "x.csv", "-o", "y", "--shard", "3/2"],
    ])
  func usage(arguments: [String]) throws { #expect(try Tool.run(["audit", "base"] + arguments).status == 64) }
}
