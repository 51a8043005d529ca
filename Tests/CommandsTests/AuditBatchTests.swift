import Foundation
import TestSupport
import Testing

@testable import Commands

/// Many audits at once: every row once, results that still hold are kept, and nothing is lost however a run ends.
@Suite struct AuditBatchTests {
  @Test("shards that run at the same time write tables of their own, and are collected in the manifest's order")
  func collected() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 7)
    let streams = try TemporaryFolder()
    let runs = try (1...3).map { number in
      try Tool.start(
        fixture.arguments(manifest) + ["--shard", "\(number)/3"], output: streams.file("\(number).out"),
        errors: streams.file("\(number).err"))
    }
    for run in runs {
      run.waitUntilExit()
      #expect(run.terminationStatus == 0)
    }
    let tables = try (1...3).map { try fixture.names(in: "results-\($0)-of-3.csv") }
    #expect(tables == [["a", "d", "g"], ["b", "e"], ["c", "f"]])
    let collected = try fixture.run(manifest, ["--collect"])
    #expect(collected.status == 0, "\(collected.errors)")
    #expect(try fixture.names(in: "results.csv") == ["a", "b", "c", "d", "e", "f", "g"])
    let page = try fixture.text("index.md")
    for name in "abcdefg" { #expect(page.contains("| [\(name)](\(name)/report.")) }
    #expect(try fixture.contents.filter { $0.hasPrefix(".") } == [".rows"])
  }

  @Test("rows without a result are named when collecting, and so are those of other options")
  func missing() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 4)
    #expect(try fixture.run(manifest, ["--shard", "1/2"]).status == 0)
    let collected = try fixture.run(manifest, ["--collect"])
    #expect(collected.status == 2)
    #expect(collected.output.contains("b: not audited: expected a result, found none"))
    #expect(collected.output.contains("d: not audited: expected a result, found none"))
    #expect(collected.output.contains("4 audits: 2 passed, 0 failed, 2 not audited"))
    let others = try fixture.run(manifest, ["--collect", "--limit", "weights.scale=0.5"])
    #expect(others.status == 2)
    #expect(others.output.contains("a: not audited: expected a result of these files and options"))
    #expect(
      try Tool.run(["audit", fixture.base, "--manifest", manifest, "--collect", "-o", "/nowhere/x"]).status == 66)
  }

  @Test("more shards than rows leave some with nothing to do")
  func emptyShard() throws {
    let fixture = try AuditBatchFixture()
    let run = try fixture.run(fixture.manifest(rows: 1), ["--shard", "2/2"])
    #expect(run.status == 0)
    #expect(run.output.hasPrefix("shard 2/2: 0 audits"))
    #expect(try fixture.names(in: "results-2-of-2.csv") == [])
  }

  // MARK: What comes out

  @Test("a failing audit gives 1, a row that cannot be audited 2, and each goes on")
  func outcomes() throws {
    let fixture = try AuditBatchFixture()
    let broken = try fixture.manifest(
      "name,before,after\nmissing,1.safetensors,none.safetensors\nsame,1.safetensors,1.safetensors\n")
    let run = try fixture.run(broken)
    #expect(run.status == 2)
    #expect(run.output.contains("missing: not audited: \(fixture.folder.file("none.safetensors")): no such file\n"))
    #expect(run.output.contains("same: passed, within noise"))
    #expect(run.output.contains("2 audits: 1 passed, 0 failed, 1 not audited; "))
    #expect(try fixture.names(in: "results.csv") == ["missing", "same"])
    #expect(!fixture.exists("missing"))
    let collected = try fixture.run(broken, ["--collect"])
    #expect(collected.status == 2)
    #expect(collected.output.contains("missing: not audited: \(fixture.folder.file("none.safetensors")): no such file"))

    let failing = try fixture.manifest(
      "name,before,after\nmissing,1.safetensors,none.safetensors\nother,1.safetensors,2.safetensors\n")
    let worse = try fixture.run(failing)
    #expect(worse.status == 1)
    #expect(worse.output.contains("other: failed, different (weights.relative_error "))
    #expect(try fixture.run(failing, ["--collect"]).status == 1)
  }

  @Test("a file that is no adapter is a row with its reason")
  func badData() throws {
    let fixture = try AuditBatchFixture()
    try fixture.folder.write(Array("<html>".utf8), to: "page.safetensors")
    let run = try fixture.run(
      fixture.manifest(
        "name,before,after\npage,1.safetensors,page.safetensors\nhere,1.safetensors,.\nsame,1.safetensors,1.safetensors"
      ))
    #expect(run.status == 2)
    #expect(run.output.contains("page: not audited: "))
    #expect(run.output.contains("here: not audited: "))
    #expect(run.output.contains("same: passed"))
    #expect(run.output.split(separator: "\n").count == 4)
  }

  @Test("JSON is one object, with the checks of every row")
  func json() throws {
    let fixture = try AuditBatchFixture()
    let run = try fixture.run(
      fixture.manifest("name,before,after\nx,1.safetensors,2.safetensors\ny,1.safetensors,0.safetensors\n"), ["--json"])
    #expect(run.json["schema"] as? String == "lathe.audit-batch/1")
    #expect(run.json["failed"] as? Int == 1)
    #expect(run.json["not_audited"] as? Int == 1)
    #expect(run.rows.map { $0["name"] as? String } == ["x", "y"])
    #expect(run.rows[0]["verdict"] as? String == "different")
    #expect((run.rows[0]["report"] as? String)?.hasPrefix("x/report.") == true)
    let checks = run.rows[0]["checks"] as? [[String: Any]] ?? []
    #expect(checks.contains { $0["name"] as? String == "weights.relative_error" && $0["pass"] as? Bool == false })
    #expect(run.rows[1]["error"] as? String != nil)
    #expect(run.rows[1]["passed"] is NSNull)
  }

  @Test("the table has a column for each check, and fields with commas in quotes")
  func table() throws {
    let fixture = try AuditBatchFixture()
    #expect(
      try fixture.run(fixture.manifest("name,before,after\n\"x, y\",1.safetensors,1.safetensors\n")).status == 0)
    let lines = try fixture.text("results.csv").split(separator: "\n")
    #expect(lines[0].hasPrefix("name,verdict,passed,weights.relative_error,weights.worst_block,"))
    #expect(lines[0].hasSuffix(",pictures.psnr,seconds,error"))
    #expect(lines[1].hasPrefix("\"x, y\",within noise,true,0.0,"))
    #expect(try fixture.run(fixture.folder.file("pairs.csv"), ["--collect"]).status == 0)
    #expect(try fixture.text("index.md").contains("| [x, y](x%2C%20y/report."))
  }

  // MARK: Going on

  @Test("what was audited is kept; changed files and options are audited again")
  func resumed() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(
      "name,before,after\na,1.safetensors,1.safetensors\nb,2.safetensors,2.safetensors\n")
    #expect(try fixture.run(manifest, ["--json"]).resumed == [])
    let again = try fixture.run(manifest)
    #expect(again.output.contains("a: passed, within noise, resumed\nb: passed, within noise, resumed\n"))
    #expect(again.output.contains("2 resumed"))
    #expect(try fixture.names(in: "results.csv") == ["a", "b"])
    // A path that is written otherwise is the same file.
    let process = try Tool.run(
      ["audit", "base.safetensors", "--manifest", "pairs.csv", "--weights-only", "-o", "audits", "--json"],
      in: fixture.folder.path)
    #expect(process.resumed == ["a", "b"])

    _ = try Fixture.adapter(in: fixture.folder, "2.safetensors", seed: 9)
    #expect(try fixture.run(manifest, ["--json"]).resumed == ["a"])
    #expect(try fixture.run(manifest, ["--json"]).resumed == ["a", "b"])
    #expect(try fixture.run(manifest, ["--json", "--limit", "weights.scale=0.2"]).resumed == [])
    #expect(try fixture.run(manifest, ["--json", "--limit", "weights.scale=0.2", "--force"]).resumed == [])
    // Shards find what a run without them found.
    #expect(
      try fixture.run(manifest, ["--json", "--limit", "weights.scale=0.2", "--shard", "2/2"]).resumed == ["b"])
  }

  @Test("a report that is gone or was changed is made again")
  func damaged() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 3)
    #expect(try fixture.run(manifest).status == 0)
    try FileManager.default.removeItem(atPath: "\(fixture.output)/a")
    try fixture.folder.write(Array((fixture.text("b/report.json") + "\n").utf8), to: "audits/b/report.json")
    #expect(try fixture.run(manifest, ["--json"]).resumed == ["c"])
    #expect(try fixture.run(manifest, ["--json"]).resumed == ["a", "b", "c"])
  }

  @Test("a row's folder whose report is of something else is left alone")
  func otherReport() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 2)
    #expect(try fixture.run(manifest).status == 0)
    try fixture.folder.write(Array("{}".utf8), to: "audits/b/report.json")
    let run = try fixture.run(manifest)
    #expect(run.status == 2)
    #expect(run.output.contains("b: not audited: \(fixture.output)/b: report.json: expected the report of an audit"))
    #expect(try fixture.text("b/report.json") == "{}")
  }

  @Test("a row that could not be audited is tried again, and its earlier report stays until there is a new one")
  func repaired() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest("name,before,after\na,1.safetensors,2.safetensors\n")
    #expect(try fixture.run(manifest).status == 1)
    let file = fixture.folder.file("2.safetensors")
    try FileManager.default.removeItem(atPath: file)
    #expect(try fixture.run(manifest).status == 2)
    #expect(fixture.exists("a/report.json"))
    #expect(try fixture.run(manifest, ["--collect"]).status == 2)
    try FileManager.default.copyItem(atPath: fixture.folder.file("1.safetensors"), toPath: file)
    let repaired = try fixture.run(manifest, ["--json"])
    #expect(repaired.status == 0)
    #expect(repaired.resumed == [])
  }

  @Test("a run that is stopped leaves whole rows, and the next one goes on", arguments: [SIGKILL, SIGINT])
  func stopped(signal: Int32) throws {
    let fixture = try AuditBatchFixture()
    let (base, adapter) = try Fixture.large(in: fixture.folder, count: 4)
    let rows = (1...6).map { "row\($0),\(adapter),\(adapter)@0.99" }.joined(separator: "\n")
    let manifest = try fixture.manifest("name,before,after\n\(rows)")
    let streams = try TemporaryFolder()
    let arguments = ["audit", base, "--manifest", manifest, "--weights-only", "-o", fixture.output]
    let process = try Tool.start(arguments, output: streams.file("o"), errors: streams.file("e"))
    while process.isRunning, !fixture.exists("row2") { usleep(500) }
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationStatus == (signal == SIGKILL ? SIGKILL : 128 + signal))
    let left = try fixture.contents
    #expect(!left.contains("row6"))
    for row in left where row.hasPrefix("row") { #expect(fixture.exists("\(row)/report.json")) }
    if signal == SIGINT { #expect(left.filter { $0.hasPrefix(".") } == [".rows"]) }

    let resumed = try Tool.run(arguments + ["--json"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(resumed.rows.count == 6)
    #expect(resumed.resumed.contains("row1"))
    #expect(!resumed.resumed.contains("row6"))
    #expect(try fixture.names(in: "results.csv").sorted() == (1...6).map { "row\($0)" })
    #expect(try fixture.contents.filter { $0.hasPrefix(".") } == [".rows"])
  }

  @Test("half a line that a crash left counts for nothing")
  func halfLine() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 2)
    #expect(try fixture.run(manifest).status == 0)
    let table = try fixture.text("results.csv")
    try fixture.folder.write(Array((table + "c,within noise,tr").utf8), to: "audits/results.csv")
    #expect(try fixture.run(manifest).status == 0)
    #expect(try fixture.names(in: "results.csv") == ["a", "b"])
  }

  @Test("a shard that is started twice is refused")
  func busy() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 1)
    let working = "\(fixture.output)/.working-1-of-2"
    try FileManager.default.createDirectory(atPath: working, withIntermediateDirectories: true)
    let lock = open(working + "/lock", O_RDWR | O_CREAT, 0o666)
    #expect(flock(lock, LOCK_EX) == 0)
    let run = try fixture.run(manifest, ["--shard", "1/2"])
    #expect(run.status == 73)
    #expect(run.errors.contains("another run works on this shard"))
    close(lock)
    #expect(try fixture.run(manifest, ["--shard", "1/2"]).status == 0)
  }

  @Test("a folder that no such run wrote is left alone")
  func foreign() throws {
    let fixture = try AuditBatchFixture()
    let manifest = try fixture.manifest(rows: 2)
    try FileManager.default.createDirectory(atPath: fixture.output + "/a", withIntermediateDirectories: true)
    try fixture.folder.write(Array("mine".utf8), to: "audits/a/file")
    for arguments in [[], ["--force"]] {
      let run = try fixture.run(manifest, arguments)
      #expect(run.status == 2)
      #expect(run.output.contains("a: not audited: \(fixture.output)/a: expected no such folder"))
      #expect(fixture.exists("a/file"))
    }
  }

  @Test("every option belongs to what decides a result, or does not change one")
  func settings() throws {
    // A new option belongs in `AuditCommand.settings` or, if it is a file, in `AuditRowInputs.uses`, or is harmless.
    let decisive: Set = [
      "prompts", "prompt", "negative", "strengths", "seed", "size", "steps", "cfg", "sampler", "precision", "rng",
      "vae", "weightsOnly", "limit", "against", "hashes",
    ]
    let harmless: Set = ["base", "before", "after", "batch", "scenes", "scene", "output", "force", "common", "cache"]
    let command = try AuditCommand.parse(["base", "--before", "a", "--after", "b"])
    let groups: [Any] = [command, command.scenes, command.scenes.scene]
    let children = groups.map { Mirror(reflecting: $0) }.flatMap(\.children)
    let labels = children.compactMap { child in child.label.map { String($0.drop { $0 == "_" }) } }
    #expect(Set(labels) == decisive.union(harmless))
  }
}
