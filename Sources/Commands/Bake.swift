import Adapters
import ArgumentParser
import Baking
import Codecs
import Factoring
import Reports
import Tensors

struct Bake: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bakes adapters into a base checkpoint: the weighted sum of all deltas, rounded once.",
    discussion: """
      The base may be larger than memory, and of any layout: a single file, shards, or a folder; safetensors, a torch pickle
      or GGUF. The output has the same layout, names, order and number formats. It is safetensors, or GGUF for a base of
      GGUF where its name ends in .gguf. The report says how much of the adapters' effect survives the rounding,
      and --dry-run says it without writing. The same inputs give the same bytes on every machine.

      Examples:
        lathe bake sd_xl_base_1.0.safetensors style.safetensors@0.8 hero.safetensors@0.6 -o both.safetensors
        lathe bake flux-folder/ style.safetensors@0.9,0.5 -o flux-style/ --undo style.undo
        lathe bake model.safetensors tiny.safetensors@0.3 -o out.safetensors --rounding shaped
      """)

  @Argument(help: "A base checkpoint: file, index of shards, or folder.")
  var base: String

  @Argument(
    help: ArgumentHelp(
      "Adapters with their strengths: FILE@0.8, or FILE@0.8,0.5 for UNet and text encoder.", valueName: "adapter"),
    transform: AdapterArgument.init)
  var adapters: [AdapterArgument] = []

  @Option(name: .shortAndLong, help: ArgumentHelp("Write the checkpoint here.", valueName: "path"))
  var output: String?

  @Flag(help: "Replace files that exist. Folders are never replaced.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Store weights as f32, f16, bf16 or f8_e4m3, or in GGUF as q8_0, q6_k, q5_k, q4_k and so on (default: as the base).",
      valueName: "format"))
  var dtype: BakeDType?

  @Option(
    help: ArgumentHelp(
      "nearest; stochastic (exact on average); shaped (default below 16 bits: keeps small deltas audible).",
      valueName: "rounding"))
  var rounding: Rounding?

  @Flag(
    help:
      "Make blocks of GGUF that change anew, with new factors, as the format's own quantiser does; loses small deltas.")
  var requantise = false

  @Option(
    help: ArgumentHelp(
      "How strengths enter DoRA, OFT and BOFT: linear, or as in lycoris, peft, comfy or a1111 (default: linear).",
      valueName: "program"))
  var compat: StrengthRule?

  @Option(help: ArgumentHelp("For stochastic rounding.", valueName: "n"))
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Strengths by block, FILE=NUMBERS: 12, 17, 20, 26 or 61 numbers with commas, or LABEL:NUMBER pairs.",
      valueName: "file=numbers"),
    transform: BlockWeightArgument.init)
  var blockWeights: [BlockWeightArgument] = []

  @Flag(help: "List the blocks of the adapters, as block weights can name them, and do nothing else.")
  var listBlocks = false

  @Option(help: ArgumentHelp("Read adapters, strengths and options from a YAML file.", valueName: "file"))
  var recipe: String?

  @Option(help: ArgumentHelp("Write a file from which lathe unbake restores the base bit for bit.", valueName: "file"))
  var undo: String?

  @Flag(help: "Compute everything and say what would come out, but write nothing.")
  var dryRun = false

  @Flag(help: "Leave out what the base has no place for; exit code 2.")
  var allowUnmatched = false

  @Flag(help: "Leave out tensors that no known trainer writes; exit code 2.")
  var allowUnknown = false

  @Flag(help: "Show each changed weight.")
  var targets = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard recipe != nil || !adapters.isEmpty else {
      throw ValidationError("expected adapters or --recipe, found neither")
    }
    guard recipe == nil || adapters.isEmpty else { throw ValidationError("expected adapters or --recipe, found both") }
    guard output != nil || dryRun || listBlocks else {
      throw ValidationError("expected -o <path>, found no output; hint: --dry-run writes nothing")
    }
    for weights in blockWeights where !adapters.contains(where: { $0.input.path == weights.file }) && recipe == nil {
      throw ValidationError("--block-weights: expected one of the adapters, found \(weights.file)")
    }
  }

  func execute() throws -> Outcome {
    if listBlocks {
      let report = BlocksReport(try resolvedRecipe().inputs.map { try Adapter(path: $0.path) })
      try common.show(report, text: report.text(width: Console.width))
      return .done
    }
    let plan = try BakePlan(try resolvedRecipe())
    common.warn(plan.warnings(hint: \.hint))
    let name = output ?? "(no output)"
    let total = plan.base.weights.count
    let result =
      try dryRun
      ? withProgress("adding", total: total, isQuiet: common.quiet) {
        try plan.rehearsed(output: name, threads: common.threads, progress: $0)
      }
      : {
        try plan.checkDestination(name, undo: undo, overwriting: force)
        common.announce(
          "writing \(ByteCount(plan.byteCount)) with at most \(ByteCount(plan.peakMemory(threads: common.threads))) of memory"
        )
        return try withProgress("baking", total: total, isQuiet: common.quiet) {
          try plan.write(to: name, undo: undo, overwriting: force, threads: common.threads, progress: $0)
        }
      }()
    let report = BakeReport(
      result, plan: plan, isDryRun: dryRun, threads: common.threads, hints: .commandLine)
    common.warn(report.newWarnings)
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets))
    return plan.skipped.isEmpty ? .done : .skipped
  }

  /// The recipe file, if any, with what the command line says on top.
  private func resolvedRecipe() throws -> BakeRecipe {
    var result =
      try recipe.map { try BakeRecipeFile(path: $0, base: base).recipe }
      ?? BakeRecipe(base: base, inputs: adapters.map(\.input))
    for weights in blockWeights {
      guard result.inputs.contains(where: { $0.path == weights.file }) else {
        throw ValidationError("--block-weights: expected one of the adapters, found \(weights.file)")
      }
      for index in result.inputs.indices where result.inputs[index].path == weights.file {
        result.inputs[index].blocks = weights.blocks
      }
    }
    // What a dry run without a name would write is of the base's own kind.
    if (output ?? result.base).lowercased().hasSuffix(".gguf") { result.container = .gguf }
    if let dtype { (result.dtype, result.blocks) = (dtype.dtype, dtype.blocks) }
    if requantise { result.requantises = true }
    if let rounding { result.rounding = rounding }
    if let seed { result.seed = seed }
    if let compat { result.rule = compat }
    if allowUnmatched { result.allowsUnmatched = true }
    if allowUnknown { result.allowsUnknown = true }
    return result
  }
}

/// The number formats that checkpoints are written in.
enum BakeDType: String, ExpressibleByArgument, CaseIterable {
  case f32, f16, bf16
  case f8e4m3 = "f8_e4m3"
  case q8_0, q6_k, q5_k, q4_k, q3_k, q2_k, q5_1, q5_0, q4_1, q4_0, iq4_nl, iq4_xs, mxfp4

  /// `nil` for blocks.
  var dtype: DType? { OutputDType(rawValue: rawValue)?.dtype }
  /// Of GGUF; `nil` for plain numbers.
  var blocks: BlockFormat? { BlockFormat(rawValue: rawValue) }
}
