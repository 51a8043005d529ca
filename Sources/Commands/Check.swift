import Adapters
import ArgumentParser
import Baking
import Checkpoints
import Reports

struct Check: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says whether an adapter fits a base checkpoint: every target resolved or explained.",
    discussion: """
      Reads only headers, so it is instant. The base may be a single file, an index of shards, or a folder of diffusers
      or Hugging Face; names are translated. An adapter that does not fit gives exit code 65.

      Examples:
        lathe check style.safetensors sd_xl_base_1.0.safetensors
        lathe check --targets my-peft-folder/ llama-folder/
      """)

  @Argument(help: "An adapter file, or a folder with adapter_config.json.")
  var adapter: String

  @Argument(help: "A base checkpoint: file, index of shards, or folder.")
  var base: String

  @Flag(help: "Show each target with the weights that it changes.")
  var targets = false

  @OptionGroup var common: CommonOptions

  func execute() throws -> Outcome {
    let report = CheckReport(
      try AdapterFit(try Adapter(path: adapter), on: try Checkpoint(path: base)), hint: \.hint)
    common.warn(report.warnings)
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets))
    return report.isGood ? .done : .badData
  }
}
