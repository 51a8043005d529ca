import Factoring
import Files
import Foundation
import TestSupport
import Testing

@testable import Audit

/// Many audits, with a stand-in for the audits themselves.
@Suite struct AuditBatchTests {
  private struct Broken: Error {}

  private let folder: TemporaryFolder
  private let rows: [AuditManifest.Row]

  init() throws {
    folder = try TemporaryFolder()
    rows = ["a", "b"].map { AuditManifest.Row(name: $0, pair: AuditPair(base: "base", before: [], after: [])) }
  }

  private func batch(_ settings: [String] = []) throws -> AuditBatch {
    AuditBatch(rows, in: try AuditBatchFolder(folder.file("audits"))) {
      AuditRowInputs($0, settings: settings, others: [])
    }
  }

  private func audit(
    _ batch: AuditBatch, _ place: Int, files: Set<String>? = ["report.json"], fails: Bool = false
  ) throws -> AuditRow {
    let working = try AuditWorkingFolder(in: batch.folder, shard: nil)
    defer { withExtendedLifetime(working) {} }
    return try batch.audit(
      rows[place], in: working, overwriting: false, files: { _ in files }, failure: { "no: \($0)\nat all" }
    ) { _ in
      if fails { throw Broken() }
      return AuditBatch.Measured(
        verdict: .visibleButSmall, passed: true,
        checks: [AuditRow.Check(name: "weights.scale", value: 0.5, limit: 1, pass: true)], page: "report.json"
      ) { path, workshop in
        let staged = try StagedFolder(for: path, replacing: files, in: workshop)
        let file = try staged.file("report.json")
        try Array("{}".utf8).withUnsafeBytes { try file.write($0, at: 0) }
        try file.commit()
        return staged
      }
    }
  }

  @Test("a row's report is put in place, and its result holds for the same inputs, once and again")
  func holds() throws {
    let row = try audit(batch(), 0)
    #expect(row.verdict == "visible but small" && row.passed == true && row.report == "a/report.json")
    #expect(row.value(of: .scale) == 0.5 && row.value(of: .lost) == nil)
    #expect(FileManager.default.fileExists(atPath: folder.file("audits/a/report.json")))
    let resumed = try batch().resumed
    #expect(resumed.keys.sorted() == ["a"] && resumed["a"]?.isResumed == true)
    #expect(try batch(["limit=1"]).resumed.isEmpty)
  }

  @Test("a report that was changed, or is gone, is no result any more")
  func changed() throws {
    _ = try audit(batch(), 0)
    try folder.write(Array("{ }".utf8), to: "audits/a/report.json")
    #expect(try batch().resumed.isEmpty)
    _ = try audit(batch(), 0)
    #expect(try batch().resumed.count == 1)
    try FileManager.default.removeItem(atPath: folder.file("audits/a"))
    #expect(try batch().resumed.isEmpty)
  }

  @Test("a row that cannot be audited says why on one line, is known, and is tried again")
  func failed() throws {
    let row = try audit(batch(), 1, fails: true)
    #expect(row.error == "no: Broken() at all" && row.verdict == nil && row.passed == nil)
    #expect(try batch().resumed.isEmpty)
    let collected = try batch().collected { $0 ? "other" : "none" }
    #expect(collected.map(\.error) == ["none", "no: Broken() at all"])
    #expect(try batch(["seed=1"]).collected { $0 ? "other" : "none" }.map(\.error) == ["none", "other"])
  }

  @Test("a folder that is no report stays, and the row says so")
  func foreign() throws {
    try FileManager.default.createDirectory(
      atPath: folder.file("audits/a"), withIntermediateDirectories: true)
    let row = try audit(batch(), 0, files: nil)
    #expect(row.error?.contains("expected no such folder or the report of an earlier run, found another") == true)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("audits/a")).isEmpty)
  }

  @Test("one run at a time makes reports")
  func busy() throws {
    let place = try batch().folder
    let first = try AuditWorkingFolder(in: place, shard: nil)
    #expect(throws: AuditBatchError.self) { try AuditWorkingFolder(in: place, shard: nil) }
    _ = try AuditWorkingFolder(in: place, shard: AuditShard("1/2"))
    withExtendedLifetime(first) {}
  }
}
