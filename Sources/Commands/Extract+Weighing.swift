import Adapters
import ArgumentParser
import Extracting
import Factoring
import LinearAlgebra
import Merging
import Rendering
import Reports
import Tensors

/// Extractions whose ranks are chosen by more than the size of errors: the leading components of all changes are an adapter in
/// memory, and that is resized.
extension Extract {
  func checkWeighing() throws {
    switch weigh {
    case .absolute:
      guard sensitivity == nil, !scenes.hasPrompts else {
        throw ValidationError(
          "\(sensitivity == nil ? "--prompts" : "--sensitivity"): expected --weigh pictures beside it")
      }
    case .perTarget: throw ValidationError("--weigh: expected absolute, base or pictures, found per-target")
    case .base, .pictures:
      guard !auto, amount.energy == nil else {
        throw ValidationError(
          "--weigh \(weigh.rawValue): expected --rank, --max-error or --size beside it, found another rule")
      }
      guard weigh == .base || scenes.hasPrompts else {
        throw ValidationError("--weigh pictures: expected --prompts or --prompt beside it, found neither")
      }
    }
  }

  func executeWeighed() throws -> Outcome {
    guard case .ranks(let wanted) = try rule else { preconditionFailure("a rule that the options have checked") }
    let output = try writer.requiredOutput(), dtype = try writer.fixedDType() ?? .f16
    var exact = try self.recipe()
    exact.rule = .ranks(.exact)
    let plan = try ExtractPlan(exact)
    if !writer.dryRun { try plan.checkDestination(output, overwriting: writer.force) }
    common.warn(ReportHints.commandLine.lines(of: plan.notes))
    let decomposition = try withProgress("decomposing", total: plan.targets.count, isQuiet: common.quiet) {
      try ExtractDecomposition(plan, output: output, threads: common.threads, progress: $0)
    }
    let candidates = try ExtractCandidates(decomposition, threads: common.threads)
    var recipe = RefactorRecipe(resizing: candidates.adapter, rule: wanted)
    (recipe.weighing, recipe.dtype, recipe.base) = (weigh, dtype, base)
    let resize = candidates.plan(try RefactorPlan(recipe, adapters: [candidates.adapter]))
    let decomposed = try Weigher(sensitivity: sensitivity, scenes: scenes, size: pictureSize, common: common)
      .decomposition(of: resize, [candidates.adapter], base: plan.base)
    let allocation = try decomposed.allocation()
    let written =
      try writer.dryRun
      ? decomposed.prediction(allocation, output: output, threads: common.threads)
      : withProgress("writing", total: resize.targets.count, isQuiet: common.quiet) {
        try decomposed.write(allocation, to: output, overwriting: writer.force, threads: common.threads, progress: $0)
      }
    let report = ExtractReport(
      candidates.result(written, dtype: dtype), plan: plan, peakMemory: plan.peakMemory(threads: common.threads),
      weighing: written.weighted.map { (weigh, $0) }, isDryRun: writer.dryRun, hints: .commandLine)
    common.warn(report.newWarnings + report.skipped.map { "skipped: \($0)" })
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets, hints: .commandLine))
    return report.skipped.isEmpty ? .done : .skipped
  }
}
