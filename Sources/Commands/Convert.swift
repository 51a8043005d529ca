import Adapters
import ArgumentParser
import Checkpoints
import Converting
import Factoring
import Models
import Reports

struct Convert: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes an adapter under another dialect's names: same delta, to the last bit where that can be said.",
    discussion: """
      Factors keep their bits. A scale that the dialect cannot say goes into the factors by powers of two, which lose
      nothing; what else it costs is measured on the file that was written. Fused projections are split and split ones
      fused, exactly. Textual inversions get files of their own. Torch pickles become safetensors.

      Examples:
        lathe convert style.safetensors -o style-diffusers.safetensors --to diffusers
        lathe convert pytorch_lora_weights.safetensors -o style-kohya.safetensors --to kohya
        lathe convert style.safetensors -o style-peft --to peft
        lathe convert odd.safetensors -o even.safetensors --normalise
        lathe convert part.safetensors -o part-kohya.safetensors --to kohya --family flux2
      """)

  @Argument(help: "An adapter file, a PEFT folder, or a folder with PEFT folders unet, text_encoder, …")
  var file: String

  @Option(help: "Names of the result: \(OtherDialectArgument.list) (default: the input's own, with --normalise).")
  var to: OtherDialectArgument?

  @Option(help: ArgumentHelp("The model's family, where names and shapes do not tell it.", valueName: "name"))
  var family: Family?

  @Option(help: ArgumentHelp("A base checkpoint that says the family instead.", valueName: "checkpoint"))
  var base: String?

  @Flag(help: "Write it so that all loaders read the same strength: one alpha, none of zero, today's names.")
  var normalise = false

  @OptionGroup var writer: WriterOptions

  @Flag(help: "Leave out what the dialect has no name for, or what cannot be worked on; exit code 2.")
  var allowUnmatched = false

  @Flag(help: "Show each target.")
  var targets = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard to != nil || normalise else { throw ValidationError("expected --to or --normalise, found neither") }
    guard family == nil || base == nil else {
      throw ValidationError("expected --family or --base, found both; hint: leave one out")
    }
    _ = try writer.requiredOutput()
  }

  /// The family that the user says, or that the base is of.
  private func toldFamily() throws -> Family? {
    guard let base else { return family }
    let found = try Checkpoint(path: base).family
    guard Family.withNames.contains(found) else { throw ConvertingError(.noFamily(found), path: base) }
    return found
  }

  func execute() throws -> Outcome {
    let plan = try ConvertPlan(
      ConvertRecipe(
        path: file, format: to?.format, family: toldFamily(), normalises: normalise, dtype: try writer.fixedDType(),
        allowsUnmatched: allowUnmatched))
    let output = try writer.requiredOutput()
    let result =
      try writer.dryRun
      ? plan.prediction(output: output)
      : withProgress("converting", total: plan.targets.count, isQuiet: common.quiet) {
        try plan.write(to: output, overwriting: writer.force, threads: common.threads, progress: $0)
      }
    common.warn(ReportHints.commandLine.lines(of: plan.notes))
    let report = ConvertReport(result, plan: plan, isDryRun: writer.dryRun, hints: .commandLine)
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets, hints: .commandLine))
    return plan.skipped.isEmpty ? .done : .skipped
  }
}
