import Adapters
import ArgumentParser
import Baking
import Calibrating
import Checkpoints
import Reports
import Spectra

struct Check: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says whether an adapter fits a base checkpoint: every target resolved or explained.",
    discussion: """
      Reads only headers, so it is instant; --norms reads the weights of both too. The base may
      be a single file, an index of shards, or a folder of diffusers or Hugging Face; names are
      translated. An adapter that does not fit gives exit code 65.

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

  @Flag(help: "Read the weights: targets whose delta is stronger than the weight that it changes.")
  var norms = false

  @OptionGroup var common: CommonOptions

  func execute() throws -> Outcome {
    let own = try Adapter(path: adapter), opened = try Checkpoint(path: base), fit = try AdapterFit(own, on: opened)
    let report = CheckReport(fit, spikes: norms ? try spikes(of: fit.adapter, on: opened) : [], hint: \.hint)
    common.warn(report.warnings)
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets))
    return report.isGood ? .done : .badData
  }

  private func spikes(of adapter: Adapter, on base: Checkpoint) throws -> [AdapterProblem] {
    let bound = try adapter.bound(to: base).adapter
    let weights = try withProgress("reading the base", total: bound.targets.count, isQuiet: common.quiet) {
      try WeightStrengths.of(bound, in: base, threads: common.threads, progress: $0)
    }
    return try withProgress("reading", total: bound.targets.count, isQuiet: common.quiet) {
      try AdapterSpectrum(of: bound, threads: common.threads, progress: $0).spikes(weights: weights)
    }
  }
}
