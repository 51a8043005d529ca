import Adapters
import ArgumentParser
import Checkpoints
import Factoring
import Files
import JSON
import Merging
import Reports

struct Resize: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Re-factors an adapter to lower rank: to a size, an error, or a rank of your choice.",
    discussion: """
      --size and --max-error divide the bytes among all targets so that no other choice of ranks does better, and print
      the bound that proves it. Names and training metadata are kept; the error is measured on what was written.

      Examples:
        lathe resize style.safetensors -o style-small.safetensors --size 20MB
        lathe resize style.safetensors -o style-half.safetensors --size 50%
        lathe resize style.safetensors -o style-{size}.safetensors --size 20MB,40MB,80MB
        lathe resize style.safetensors --curve --svg curve.svg
        lathe resize style.safetensors -o small.safetensors --until "ssim>=0.98" --base sd15.safetensors --prompts p.txt
      """)

  @Argument(help: "An adapter file, or a PEFT folder.")
  var file: String

  @OptionGroup var rules: RuleOptions
  @OptionGroup var clipping: ClippingOptions
  @OptionGroup var until: ResizeUntilOptions
  @OptionGroup var writer: WriterOptions

  @Flag(help: "Print file size against relative error for the whole range, and write no adapter.")
  var curve = false

  @Option(help: ArgumentHelp("With --curve: draw it into this file.", valueName: "file"))
  var svg: String?

  @Option(help: "Count ranks as another tool does: kohya (its resize script kept one rank too many until 2026).")
  var compat: Compatibility?

  @OptionGroup var told: FamilyOption

  @Flag(help: "Show each target.")
  var targets = false

  @Flag(help: "Leave out tensors that no known trainer writes, and modules that the model has not; exit code 2.")
  var allowUnknown = false

  @OptionGroup var common: CommonOptions

  enum Compatibility: String, ExpressibleByArgument, CaseIterable { case kohya }

  func validate() throws {
    let hasRule = rules.count > 0
    guard curve || hasRule || until.until != nil else {
      throw ValidationError(
        "expected one of --rank, --energy, --max-error, --size, --sv-ratio, --sv-fro, --sv-cumulative, --until or --curve, "
          + "found none")
    }
    guard until.until == nil || !(curve || hasRule) else {
      throw ValidationError("--until: expected no other rule beside it, found one")
    }
    guard svg == nil || curve else { throw ValidationError("--svg: expected --curve beside it") }
    let weigh = rules.weigh == .pictures
    try rules.checkWeighing(base: until.base, hasPrompts: until.scenes.hasPrompts)
    guard weigh || until.until != nil || !until.scenes.hasPrompts else {
      throw ValidationError("--prompts: expected --until or --weigh pictures beside it, found neither")
    }
    if until.until == nil { try until.scenes.requireNoneOfPictures(but: "--until") }
    if curve {
      guard writer.dtype != .auto else {
        throw ValidationError("--dtype auto: expected no --curve beside it, found one")
      }
      return
    }
    let output = try writer.requiredOutput()
    if try rules.sizes.count > 1, !output.contains("{size}"), !writer.dryRun {
      throw ValidationError("-o: expected {size} in the name for several sizes, found \(output)")
    }
  }

  var usesEngine: Bool { until.until != nil || rules.weigh == .pictures && until.base != nil }
  var multiplies: Bool { true }

  func execute() throws -> Outcome {
    let adapter = try told.adapters([file], base: until.base)[0], inputBytes = adapter.byteCount
    let rule = try rules.rule { inputBytes }
    if until.until == nil, !curve { try writer.checkAuto(rule: rule) }
    let weighing = rules.weighing(
      base: until.base, choosesRanks: curve || until.until != nil || rule?.looksAtWholeFile == true)
    var recipe = RefactorRecipe(
      .resize, inputs: [.init(path: file)], rule: rule ?? .exact, weighing: weighing, dtype: writer.dtype?.dtype,
      keepsAllTargets: rules.keepAllTargets, allowsUnknown: allowUnknown, countsLikeKohya: compat == .kohya,
      base: until.base)
    recipe.clipping = clipping.clipping
    try clipping.check(weighing)
    let base = try recipe.needsBaseWeights ? until.base.map { try Checkpoint(path: $0) } : nil
    let plan = try RefactorPlan(recipe, adapters: [adapter], base: base)
    let outputs = try self.outputs(inputBytes)
    if !writer.dryRun, !curve {
      for output in outputs { try plan.checkDestination(output.path, overwriting: writer.force) }
    }
    try Destination.requireApart(outputs.map(\.path))
    if let svg { try TemporaryFile.checkDestination(svg, overwriting: writer.force) }
    common.warn(
      ReportHints.commandLine.lines(of: plan.notes)
        + (plan.isBaseUnused && until.until == nil && base == nil ? [BaseBinding.unused] : [])
        + plan.skipped.map { "skipped: \($0)" })
    let weigher = Weigher(
      sensitivity: rules.sensitivity, scenes: until.scenes.scene, size: until.pictureSize, common: common)
    let decomposed = try weigher.decomposition(of: plan, [adapter], base: base)
    if curve {
      let report = CurveReport(file: file, decomposed.curve(points: 24))
      if let svg { try writeSideFile(report.svg, to: svg, overwriting: writer.force) }
      try common.show(report, text: report.text(width: Console.width))
    } else {
      let search = try until.until.map { _ in
        try ResizeUntil.search(until, decomposed, tryingFormats: writer.dtype == .auto, common: common)
      }
      let reports = try outputs.map { output in
        var report = try RefactorRun(
          decomposed: search?.plan ?? decomposed, writer: writer, common: common,
          choosesFormat: search == nil && writer.dtype == .auto
        ).report(
          rule: search?.rule ?? output.rule, output: output.path)
        report.until = search?.report
        return report
      }
      if common.json {
        try Console.report(reports.count == 1 ? reports[0].jsonText() : ResizeSeriesReport(reports).jsonText())
      } else {
        try Console.report(reports.map { $0.text(width: Console.width, showsTargets: targets) }.joined(separator: "\n"))
      }
    }
    return plan.skipped.isEmpty ? .done : .skipped
  }

  /// Each file to write with the rule for it.
  private func outputs(_ inputBytes: Int) throws -> [(path: String, rule: RankRule?)] {
    if curve { return [] }
    let output = try writer.requiredOutput(), sizes = try rules.sizes
    guard sizes.count > 1 || output.contains("{size}") else { return [(output, nil)] }
    return sizes.map { (output.replacing("{size}", with: $0.text), RankRule.size($0.amount.bytes(of: inputBytes))) }
  }
}
