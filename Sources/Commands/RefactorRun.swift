import Merging
import Reports
import Safetensors

/// The last part that resize and merge have in common: choose ranks, write or predict, report.
struct RefactorRun {
  let plan: RefactorPlan
  let decomposed: DecomposedPlan
  let writer: WriterOptions
  let common: CommonOptions

  func report(rule: RankRule?, output: String) throws -> RefactorReport {
    let allocation = try decomposed.allocation(rule: rule)
    let result =
      try writer.dryRun
      ? decomposed.prediction(allocation, output: output)
      : withProgress("writing", total: plan.targets.count, isQuiet: common.quiet) {
        try decomposed.write(allocation, to: output, overwriting: writer.force, threads: common.threads, progress: $0)
      }
    let report = RefactorReport(result, plan: plan, isDryRun: writer.dryRun)
    common.warn(Array(report.warnings.dropFirst(plan.warnings.count)))
    return report
  }
}
