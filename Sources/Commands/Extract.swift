import Adapters
import ArgumentParser
import Extracting
import Factoring
import Models
import Reports
import Tensors

struct Extract: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes an adapter of the difference between two checkpoints.",
    discussion: """
      Files, shards and diffusers folders may be mixed. Matrices and convolutions become factors of low rank; biases,
      norms and embeddings are kept as they are. Weights that differ by no more than rounding are left out.

      --auto keeps what stands above the noise that rounding the checkpoints to their format has made: with 16-bit
      checkpoints a higher rank would only store noise. The error is measured on what was written. Without --dtype
      factors are f16, or f32 where that would lose digits.

      Examples:
        lathe extract sdxl.safetensors tuned.safetensors -o style.safetensors --auto
        lathe extract base-folder tuned.safetensors -o style.safetensors --rank 32 --conv-rank 16
        lathe extract gpt2 gpt2-tuned -o adapter-folder --energy 0.95 --dry-run
      """)

  @Argument(help: "The checkpoint that the adapter will be used with: a file, an index of shards, or a folder.")
  var base: String

  @Argument(help: "The checkpoint that was made of it.")
  var tuned: String

  @Flag(help: "In each target keep what stands above the checkpoints' own rounding noise.")
  var auto = false

  @OptionGroup var amount: AmountOptions

  @Option(help: ArgumentHelp("Give no target a higher rank, but by --rank.", valueName: "n"))
  var maxRank = ExtractRecipe.defaultMaxRank

  @OptionGroup var writer: WriterOptions

  @Option(
    help: ArgumentHelp(
      "With --rank, --max-error or --size: what an error counts: absolute (its size, the default), base (relative to the base's "
        + "weights), or pictures (what it does to them, with --prompts).", valueName: "what"))
  var weigh = Weighing.absolute

  @Option(
    help: ArgumentHelp(
      "With --weigh pictures: what lathe sensitivity wrote (default: beside the base, or measured first).",
      valueName: "file"))
  var sensitivity: String?

  @OptionGroup(title: "Pictures for --weigh pictures") var scenes: SceneOptions

  @Option(
    help: ArgumentHelp("Width and height of pictures (default: the model's, but at most 256).", valueName: "WxH"))
  var pictureSize: PictureSize?

  @Option(
    help: "Names of the adapter: \(DialectArgument.list) (default: kohya, and peft for language models).")
  var format: DialectArgument?

  @Option(help: ArgumentHelp("The family of both, where their names do not tell it.", valueName: "name"))
  var family: Family?

  @Flag(help: "Show each target.")
  var targets = false

  @Flag(help: "Leave aside weights that only one of the checkpoints has; exit code 2.")
  var allowUnmatched = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    _ = try rule
    guard maxRank >= 1 else { throw ValidationError("--max-rank: expected at least 1, found \(maxRank)") }
    _ = try writer.requiredOutput()
    try checkWeighing()
  }

  var usesEngine: Bool { weigh == .pictures }

  var rule: ExtractRecipe.Rule {
    get throws {
      let count = amount.count + (auto ? 1 : 0)
      guard count == 1, try amount.sizes.count <= 1 else {
        throw ValidationError(
          "expected one of --auto, --rank, --energy, --max-error, --size, found \(count == 0 ? "none" : "several")")
      }
      return try amount.rule.map { .ranks($0) } ?? .auto
    }
  }

  var multiplies: Bool { true }

  func recipe() throws -> ExtractRecipe {
    var recipe = ExtractRecipe(
      base: base, tuned: tuned, rule: try rule, dtype: try writer.fixedDType(), format: format?.format,
      maxRank: maxRank,
      allowsUnmatched: allowUnmatched)
    recipe.family = family
    return recipe
  }

  func execute() throws -> Outcome {
    guard weigh == .absolute else { return try executeWeighed() }
    let plan = try ExtractPlan(recipe())
    let output = try writer.requiredOutput()
    if !writer.dryRun { try plan.checkDestination(output, overwriting: writer.force) }
    let memory = plan.peakMemory(threads: common.threads)
    common.warn(ReportHints.commandLine.lines(of: plan.notes))
    let decomposition = try withProgress("decomposing", total: plan.targets.count, isQuiet: common.quiet) {
      try ExtractDecomposition(plan, output: writer.dryRun ? nil : output, threads: common.threads, progress: $0)
    }
    let allocation = try decomposition.allocation()
    let result =
      try writer.dryRun
      ? decomposition.prediction(allocation, output: output)
      : withProgress("writing", total: plan.targets.count, isQuiet: common.quiet) {
        try decomposition.write(
          allocation, to: output, overwriting: writer.force, threads: common.threads, progress: $0)
      }
    let report = ExtractReport(result, plan: plan, peakMemory: memory, isDryRun: writer.dryRun, hints: .commandLine)
    common.warn(report.newWarnings + report.skipped.map { "skipped: \($0)" })
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets, hints: .commandLine))
    return report.skipped.isEmpty ? .done : .skipped
  }
}
