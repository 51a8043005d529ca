public import Files

/// Many audits with the same options: the rows of a manifest, or those of one shard.
///
/// A row that cannot be audited is a result too. What cannot be written ends the run.
public struct AuditBatch {
  /// An audit that was made, and is not written yet.
  public struct Measured {
    let verdict: AuditVerdict
    let passed: Bool
    let checks: [AuditRow.Check]
    /// Of the report for people, in its folder.
    let page: String
    /// Makes the report, complete and without its name: for a path, in a folder for what is unfinished.
    let write: (_ path: String, _ workshop: String) throws -> StagedFolder

    /// - Parameters:
    ///   - page: file name of the report for people, in its folder.
    ///   - write: makes the report complete in the workshop, and leaves it to others to give it its path.
    public init(
      verdict: AuditVerdict, passed: Bool, checks: [AuditRow.Check], page: String,
      write: @escaping (_ path: String, _ workshop: String) throws -> StagedFolder
    ) {
      (self.verdict, self.passed, self.checks) = (verdict, passed, checks)
      (self.page, self.write) = (page, write)
    }
  }

  /// Where reports, and records of what was audited, are kept.
  public let folder: AuditBatchFolder
  /// Those of the manifest, or of one shard of it.
  public let rows: [AuditManifest.Row]
  /// All that decides what a pair's audit says, as it is now.
  private let inputs: (AuditPair) -> AuditRowInputs

  /// - Parameters:
  ///   - rows: each with a name of its own.
  ///   - inputs: looks at all that decides what a pair's audit says, as it is at the time of the call.
  public init(
    _ rows: [AuditManifest.Row], in folder: AuditBatchFolder, inputs: @escaping (AuditPair) -> AuditRowInputs
  ) {
    (self.rows, self.folder, self.inputs) = (rows, folder, inputs)
  }

  /// Results of earlier runs that still hold, by their names. Rows that could not be audited are to be tried again.
  public var resumed: [String: AuditRow] {
    var results: [String: AuditRow] = [:]
    for row in rows {
      guard var result = folder.result(of: row.name, for: inputs(row.pair)), result.error == nil else { continue }
      result.isResumed = true
      results[row.name] = result
    }
    return results
  }

  /// What is known of all rows, and of those that nothing holds for, why.
  ///
  /// - Parameter reason: for a row without a result, and for one with a result of other files and options.
  public func collected(otherwise reason: (_ hasRecord: Bool) -> String) -> [AuditRow] {
    rows.map { row in
      folder.result(of: row.name, for: inputs(row.pair))
        ?? AuditRow(name: row.name, error: reason(folder.record(of: row.name) != nil), seconds: 0)
    }
  }

  /// Audits one row, and puts its report in place.
  ///
  /// - Parameters:
  ///   - working: where the report is made.
  ///   - overwriting: whether the report of any audit may be replaced.
  ///   - files: what belongs to the report of an audit in a folder; `nil` where there is none.
  ///   - failure: why a row has no audit, in the words of whoever shows it.
  ///   - measure: makes the audit.
  /// - Throws: what writing throws.
  public func audit(
    _ row: AuditManifest.Row, in working: AuditWorkingFolder, overwriting: Bool,
    files: (String) throws -> Set<String>?, failure: (any Error) -> String,
    measure: (AuditPair) throws -> Measured
  ) throws -> AuditRow {
    let start = ContinuousClock.now
    func failed(_ error: any Error) -> AuditRow {
      AuditRow(name: row.name, error: failure(error), seconds: (.now - start) / .seconds(1))
    }
    InputFiles.beginAnew()
    do { try folder.checkPlace(of: row.name, overwriting: overwriting, files: files) } catch { return failed(error) }
    // Looked at beforehand: what changes meanwhile is audited again by the next run.
    let inputs = inputs(row.pair)
    let measured: Measured
    do {
      measured = try measure(row.pair)
      try InputFiles.requireUnchanged()
      InputFiles.beginAnew()
    } catch let error as CancellationError {
      throw error
    } catch {
      let result = failed(error)
      InputFiles.beginAnew()
      try folder.note(result, inputs: inputs)
      return result
    }
    let complete = try measured.write(folder.place(of: row.name), working.path)
    let done = AuditRow(
      name: row.name, verdict: measured.verdict, passed: measured.passed, checks: measured.checks,
      report: "\(row.name)/\(measured.page)", seconds: (.now - start) / .seconds(1))
    try folder.publish(complete, done, inputs: inputs)
    return done
  }
}
