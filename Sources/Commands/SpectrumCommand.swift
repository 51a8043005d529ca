import Adapters
import ArgumentParser
import Calibrating
import Checkpoints
import Files
import Reports
import Spectra

struct SpectrumCommand: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "spectrum",
    abstract: "Shows the singular values of an adapter and the ranks that keep 50 to 99.9 % of its energy.",
    discussion: """
      Exact, from the factors, in double precision. Totals take the strongest components first, whatever target they
      are in.

      Examples:
        lathe spectrum style.safetensors
        lathe spectrum style.safetensors --targets --csv values.csv --svg energy.svg
      """)

  @Argument(help: "An adapter file.")
  var file: String

  @OptionGroup var base: BaseOption

  @Flag(help: "Show each target.")
  var targets = false

  @Option(help: ArgumentHelp("Write all singular values to this file.", valueName: "file"))
  var csv: String?

  @Option(help: ArgumentHelp("Draw energy against components into this file.", valueName: "file"))
  var svg: String?

  @Flag(help: "Replace files that exist.")
  var force = false

  @Flag(help: "Go on when the file has tensors that no known trainer writes; exit code 2.")
  var allowUnknown = false

  @OptionGroup var told: FamilyOption

  @OptionGroup var common: CommonOptions

  var multiplies: Bool { true }

  func execute() throws -> Outcome {
    let opened = try told.adapters([file], base: base.base)[0]
    let checkpoint = try base.base.map { try Checkpoint(path: $0) }
    let bound = try base.binding.bind([opened], opened: checkpoint), adapter = bound.adapters[0]
    try adapter.requireWorkable(allowingUnknown: allowUnknown)
    try Destination.requireApart([csv, svg].compactMap(\.self))
    for path in [csv, svg] { if let path { try TemporaryFile.checkDestination(path, overwriting: force) } }
    let spectrum = try withProgress("spectra", total: adapter.targets.count, isQuiet: common.quiet) {
      try AdapterSpectrum(of: adapter, threads: common.threads, progress: $0)
    }
    let weights = try checkpoint.map { base in
      try withProgress("reading the base", total: adapter.targets.count, isQuiet: common.quiet) {
        try WeightStrengths.of(adapter, in: base, threads: common.threads, progress: $0)
      }
    }
    let spikes = spectrum.spikes(weights: weights)
    let report = SpectrumReport(adapter, spectrum, spikes: spikes)
    if let csv { try writeSideFile(report.csv, to: csv, overwriting: force) }
    if let svg { try writeSideFile(report.svg, to: svg, overwriting: force) }
    common.warn(
      base.binding.warnings([opened], note: BaseBinding.spikesOnly) + bound.notes
        + AdapterProblem.grouped(adapter.problems + spikes, hint: \.hint).map { "\(adapter.path): \($0)" })
    try common.show(report, text: report.text(width: Console.width, showsTargets: targets, hints: .commandLine))
    return adapter.unknown.isEmpty && bound.notes.isEmpty ? .done : .skipped
  }
}
