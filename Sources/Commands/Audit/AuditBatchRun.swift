import Audit
import Files
import Foundation
import Reports

/// Many audits as the command line runs them: what is shown meanwhile, and the tables.
///
/// What cannot be written ends the run.
struct AuditBatchRun {
  private let command: AuditCommand
  private let rows: [AuditManifest.Row]
  private let output: String

  /// Reads the manifest.
  ///
  /// - Throws: as `AuditManifest` does, and `FileError.missing` for what the command line has for all rows; before
  ///   anything is written.
  init(_ command: AuditCommand, manifest: String, output: String) throws {
    let all = try AuditManifest(path: manifest, base: command.base) { try? AdapterArgument($0).input }.rows
    for path in [command.base, command.scenes.scene.prompts, command.scenes.vae] {
      if let path, !FileManager.default.fileExists(atPath: path) { throw FileError(.missing, path: path) }
    }
    (self.command, self.output) = (command, output)
    rows = command.batch.shard?.part(of: all) ?? all
  }

  private func batch() throws -> AuditBatch {
    AuditBatch(rows, in: try AuditBatchFolder(output)) { AuditRowInputs($0, command: command) }
  }

  /// Audits the rows that have no result yet.
  func run() throws -> Outcome {
    let start = ContinuousClock.now
    let earlier = try command.earlierReport()
    let batch = try batch(), folder = batch.folder
    let working = try AuditWorkingFolder(in: folder, shard: command.batch.shard)
    // It is this run's until all is written.
    defer { withExtendedLifetime(working) {} }
    let known = KnownHashes()
    var results = command.force ? [:] : batch.resumed
    let table = try AuditResultsFile(
      "\(folder.path)/results\(command.batch.shard.map { "-\($0.fileText)" } ?? "").csv",
      beginningWith: rows.compactMap { results[$0.name] })
    for row in rows {
      if let result = results[row.name] { try show(result) }
    }
    for (place, row) in rows.enumerated() where results[row.name] == nil {
      command.common.announce("row \(place + 1) of \(rows.count): \(row.name)")
      let result = try batch.audit(
        row, in: working, overwriting: command.force, files: { try AuditOutput.files(ofReportIn: $0) },
        failure: { $0.cause.line }
      ) { try measure($0, earlier: earlier, known: known) }
      results[row.name] = result
      try table.append(result)
      try show(result)
    }
    let report = AuditBatchReport(
      shard: command.batch.shard?.text, rows: rows.compactMap { results[$0.name] }, since: start)
    try command.common.show(report, text: report.total + "\n")
    return report.outcome
  }

  /// Joins what is known of all rows into one table and one page.
  func collect() throws -> Outcome {
    let start = ContinuousClock.now
    guard FolderEntry.isFolder(output) else { throw FileError(.missing, path: output) }
    let batch = try batch(), folder = batch.folder
    let collected = batch.collected { hasRecord in
      hasRecord
        ? "expected a result of these files and options, found one of others; hint: --collect takes the audits' options"
        : "expected a result, found none; hint: audit this row's shard"
    }
    let report = AuditBatchReport(shard: nil, rows: collected, since: start)
    try writeSideFile(AuditBatchReport.csvText(report.rows), to: "\(folder.path)/results.csv", overwriting: true)
    try writeSideFile(report.markdown, to: "\(folder.path)/index.md", overwriting: true)
    let lines = report.rows.filter { $0.passed != true }.map(\.text) + [report.total]
    try command.common.show(report, text: lines.joined(separator: "\n") + "\n")
    return report.outcome
  }

  private func measure(
    _ pair: AuditPair, earlier: AuditReport?, known: KnownHashes
  ) throws -> AuditBatch.Measured {
    let (report, result) = try command.measure(command.plan(of: pair, known: known), earlier: earlier, known: known)
    return AuditBatch.Measured(
      verdict: result.verdict, passed: result.passes, checks: result.rowChecks, page: AuditFormat.page.fileName
    ) { path, workshop in
      try AuditOutput(path, overwriting: true, in: workshop).completed(report, result)
    }
  }

  private func show(_ row: AuditRow) throws {
    if !command.common.json { try Console.report(row.text + "\n") }
  }
}

extension AuditBatchReport {
  fileprivate init(shard: String?, rows: [AuditRow], since start: ContinuousClock.Instant) {
    self.init(shard: shard, rows: rows, seconds: (.now - start) / .seconds(1))
  }

  fileprivate var outcome: Outcome { failed > 0 ? .failed : notAudited > 0 ? .skipped : .done }
}
