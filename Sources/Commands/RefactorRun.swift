import Adapters
import Factoring
import Loaders
import Reports

/// The last part that resize and merge have in common: choose ranks, write or predict, report.
struct RefactorRun {
  let decomposed: DecomposedPlan
  let writer: WriterOptions
  let common: CommonOptions
  /// Whether the number format is still to be chosen.
  let choosesFormat: Bool

  func report(rule: RankRule?, output: String) throws -> RefactorReport {
    let choice = try choosesFormat ? decomposed.choosingFormat(rule: rule) : nil
    let decomposed = choice?.plan ?? decomposed, plan = decomposed.plan
    let allocation = try decomposed.allocation(rule: rule)
    let result =
      try writer.dryRun
      ? decomposed.prediction(allocation, output: output, threads: common.threads)
      : withProgress("writing", total: plan.targets.count, isQuiet: common.quiet) {
        try decomposed.write(allocation, to: output, overwriting: writer.force, threads: common.threads, progress: $0)
      }
    let report = RefactorReport(
      result, plan: plan, clipped: decomposed.clipped, format: choice?.choice, isDryRun: writer.dryRun,
      hints: .commandLine)
    common.warn(report.newWarnings)
    if !writer.dryRun, !plan.isAnotherWork {
      common.warn(lostTargets(output, since: plan.adapters[0]))
    }
    return report
  }

  /// Loaders that know a text encoder's names by targets which were cut away read less of the output than of the input.
  ///
  /// The output has its name by now: what hinders a last look at it is no reason to say that nothing was done.
  private func lostTargets(_ output: String, since original: Adapter) -> [String] {
    let adapter: Adapter
    do { adapter = try Adapter(path: output) } catch {
      return ["\(output): complete, but what loaders make of it could not be looked at: \(error.line)"]
    }
    let written = LoaderScales(of: adapter)
    return written.lost(since: LoaderScales(of: original)).map { loader, count in
      "\(output): \(loader.rawValue) passes over \(count) of the \(written.rows.count) targets, which it reads in the input: "
        + "it looks for others that were cut away; hint: --keep-all-targets"
    }
  }
}
