import Audit
import Files
import Foundation
import Reports

/// Many audits with the same options: the rows of a manifest, or those of one shard.
///
/// A row that cannot be audited is a result too, and the run goes on. What cannot be written ends it.
struct AuditBatch {
  private let command: AuditCommand
  private let rows: [AuditManifest.Row]
  private let output: String

  /// Reads the manifest.
  ///
  /// - Throws: as `AuditManifest` does, and `FileError.missing` for what the command line has for all rows; before
  ///   anything is written.
  init(_ command: AuditCommand, manifest: String, output: String) throws {
    let all = try AuditManifest(path: manifest, base: command.base).rows
    for path in [command.base, command.scenes.prompts, command.scenes.vae] {
      if let path, !FileManager.default.fileExists(atPath: path) { throw FileError(.missing, path: path) }
    }
    (self.command, self.output) = (command, output)
    rows = command.batch.shard?.part(of: all) ?? all
  }

  /// Audits the rows that have no result yet.
  func run() throws -> Outcome {
    let start = ContinuousClock.now
    let earlier = try command.earlierReport()
    let folder = try AuditBatchFolder(output)
    let working = try AuditWorkingFolder(in: folder, shard: command.batch.shard)
    // It is this run's until all is written.
    defer { withExtendedLifetime(working) {} }
    let known = KnownHashes()
    var results = command.force ? [:] : resumed(in: folder)
    let table = try AuditResultsFile(
      "\(folder.path)/results\(command.batch.shard.map { "-\($0.fileText)" } ?? "").csv",
      beginningWith: rows.compactMap { results[$0.name] })
    for row in rows {
      if let result = results[row.name] { try show(result) }
    }
    for (place, row) in rows.enumerated() where results[row.name] == nil {
      command.common.announce("row \(place + 1) of \(rows.count): \(row.name)")
      let result = try audit(row, earlier: earlier, known: known, folder: folder, working: working)
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
    guard AuditBatchFolder.isFolder(output) else { throw FileError(.missing, path: output) }
    let folder = try AuditBatchFolder(output)
    let report = AuditBatchReport(
      shard: nil,
      rows: rows.map { row in
        let inputs = AuditRowInputs(row.pair, command: command)
        if let result = folder.result(of: row.name, for: inputs) { return result }
        let reason =
          folder.record(of: row.name) == nil
          ? "expected a result, found none; hint: audit this row's shard"
          : "expected a result of these files and options, found one of others; hint: --collect takes the audits' options"
        return AuditBatchReport.Row(name: row.name, error: reason, seconds: 0)
      }, since: start)
    try writeSideFile(AuditBatchReport.csvText(report.rows), to: "\(folder.path)/results.csv", overwriting: true)
    try writeSideFile(report.markdown, to: "\(folder.path)/index.md", overwriting: true)
    let lines = report.rows.filter { $0.passed != true }.map(\.text) + [report.total]
    try command.common.show(report, text: lines.joined(separator: "\n") + "\n")
    return report.outcome
  }

  /// Results of earlier runs that still hold. Rows that could not be audited are tried again.
  private func resumed(in folder: AuditBatchFolder) -> [String: AuditBatchReport.Row] {
    var results: [String: AuditBatchReport.Row] = [:]
    for row in rows {
      let inputs = AuditRowInputs(row.pair, command: command)
      guard var result = folder.result(of: row.name, for: inputs), result.error == nil else { continue }
      result.isResumed = true
      results[row.name] = result
    }
    return results
  }

  private func audit(
    _ row: AuditManifest.Row, earlier: AuditReport?, known: KnownHashes, folder: AuditBatchFolder,
    working: AuditWorkingFolder
  ) throws -> AuditBatchReport.Row {
    let start = ContinuousClock.now
    func failure(_ error: any Error) -> AuditBatchReport.Row {
      AuditBatchReport.Row(name: row.name, error: "\(error.cause)", seconds: (.now - start) / .seconds(1))
    }
    InputFiles.beginAnew()
    do { try folder.checkPlace(of: row.name, overwriting: command.force) } catch { return failure(error) }
    // Looked at beforehand: what changes meanwhile is audited again by the next run.
    let inputs = AuditRowInputs(row.pair, command: command)
    let (report, result): (AuditReport, AuditResult)
    do {
      (report, result) = try command.measure(command.plan(of: row.pair), earlier: earlier, known: known)
      try InputFiles.requireUnchanged()
      InputFiles.beginAnew()
    } catch {
      let failed = failure(error)
      InputFiles.beginAnew()
      try folder.note(failed, inputs: inputs)
      return failed
    }
    let complete = try folder.output(of: row.name, in: working).completed(report, result)
    var done = AuditBatchReport.Row(name: row.name, report: report, seconds: (.now - start) / .seconds(1))
    done.report = folder.reportFile(in: complete.path).map { "\(row.name)/\($0)" }
    try folder.publish(complete, done, inputs: inputs)
    return done
  }

  private func show(_ row: AuditBatchReport.Row) throws {
    if !command.common.json { try Console.report(row.text + "\n") }
  }
}

extension AuditBatchReport {
  fileprivate init(shard: String?, rows: [Row], since start: ContinuousClock.Instant) {
    self.init(shard: shard, rows: rows, seconds: (.now - start) / .seconds(1))
  }

  fileprivate var outcome: Outcome { failed > 0 ? .failed : notAudited > 0 ? .skipped : .done }
}
