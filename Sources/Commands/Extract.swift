import Adapters
import ArgumentParser
import Merging
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

  @Option(help: ArgumentHelp("Keep this rank in every target.", valueName: "n"))
  var rank: Int?

  @Option(help: ArgumentHelp("With --rank: another rank for convolutions with a kernel.", valueName: "n"))
  var convRank: Int?

  @Option(
    help: ArgumentHelp(
      "In each target keep the smallest rank with this share of its energy (0.95).", valueName: "share"))
  var energy: Double?

  @Option(
    help: ArgumentHelp("Smallest file with at most this relative error over all targets (0.1).", valueName: "error"))
  var maxError: Double?

  @Option(help: ArgumentHelp("Smallest error of a file of at most this size (20MB, 20MiB, bytes).", valueName: "bytes"))
  var size: ByteCount?

  @Option(help: ArgumentHelp("Give no target a higher rank, but by --rank.", valueName: "n"))
  var maxRank = ExtractRecipe.defaultMaxRank

  @OptionGroup var writer: WriterOptions

  @Option(
    help: "Names of the adapter: kohya, diffusers, peft or native (default: kohya, and peft for language models).")
  var format: Merge.OutputFormat?

  @Flag(help: "Show each target.")
  var targets = false

  @Flag(help: "Leave aside weights that only one of the checkpoints has; exit code 2.")
  var allowUnmatched = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    _ = try rule
    guard convRank == nil || rank != nil else { throw ValidationError("--conv-rank: expected --rank beside it") }
    for (name, value) in [("--rank", rank), ("--conv-rank", convRank), ("--max-rank", maxRank)] {
      if let value, value < 1 { throw ValidationError("\(name): expected at least 1, found \(value)") }
    }
    for (name, value) in [("--energy", energy), ("--max-error", maxError)] {
      if let value, !(value > 0 && value <= 1) {
        throw ValidationError("\(name): expected a number above 0 and at most 1, found \(value)")
      }
    }
    _ = try writer.requiredOutput()
  }

  private var rule: ExtractRecipe.Rule {
    get throws {
      let rules: [ExtractRecipe.Rule?] = [
        auto ? .auto : nil, rank.map { .ranks(.rank($0, conv: convRank)) }, energy.map { .ranks(.energy($0)) },
        maxError.map { .ranks(.maxError($0)) }, size.map { .ranks(.size($0)) },
      ]
      let given = rules.compactMap { $0 }
      guard given.count == 1 else {
        throw ValidationError(
          "expected one of --auto, --rank, --energy, --max-error, --size, found \(given.isEmpty ? "none" : "\(given.count)")"
        )
      }
      return given[0]
    }
  }

  func execute() throws -> Outcome {
    let plan = try ExtractPlan(
      ExtractRecipe(
        base: base, tuned: tuned, rule: try rule, dtype: writer.dtype?.dtype, format: format?.format, maxRank: maxRank,
        allowsUnmatched: allowUnmatched))
    let output = try writer.requiredOutput()
    if !writer.dryRun { try plan.checkDestination(output, overwriting: writer.force) }
    let memory = plan.peakMemory(threads: common.threads)
    common.warn(plan.warnings)
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
    let report = ExtractReport(result, plan: plan, peakMemory: memory, isDryRun: writer.dryRun)
    common.warn(report.warnings.dropFirst(plan.warnings.count) + report.skipped.map { "skipped: \($0)" })
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets))
    return report.skipped.isEmpty ? .done : .skipped
  }
}
