import Adapters
import ArgumentParser
import JSON
import Loaders
import Reports
import Spectra

struct Inspect: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what is in adapter files: family, format, targets, ranks, alphas, training metadata, problems.",
    discussion: """
      Reads only the header, so it is instant. --norms reads the weights too and finds NaN, infinity and dead targets;
      --hashes reads the whole file. A file that cannot be worked on gives exit code 65.

      Examples:
        lathe inspect style.safetensors
        lathe inspect --norms --targets style.safetensors character.safetensors
        lathe inspect --loaders style.safetensors
        lathe inspect --json uploads/*.safetensors > report.json
      """)

  @Argument(help: "Adapter files, or folders with adapter_config.json.")
  var files: [String]

  @Flag(help: "Read the weights: norm of each target, NaN, infinity, targets that were never trained.")
  var norms = false

  @Flag(
    inversion: .prefixedNo,
    help: "Read the whole file: SHA-256, AutoV2, AutoV3, stale hashes (default: only with --json).")
  var hashes: Bool?

  @Flag(help: "Show the scale that sd-scripts, diffusers, PEFT, ComfyUI and A1111 would apply, and where they differ.")
  var loaders = false

  @Flag(help: "Show each target, and every problem.")
  var targets = false

  @OptionGroup var told: FamilyOption

  @OptionGroup var common: CommonOptions

  func execute() throws -> Outcome {
    var reports: [InspectReport] = [], isUsable = true
    for file in files {
      do {
        let report = try inspect(file)
        reports.append(report)
        isUsable = isUsable && !report.hasFatalProblem
      } catch  where files.count > 1 {
        // One broken file among many must not hide the others.
        Console.complain("error: \(error.line)")
        isUsable = false
      }
    }
    if common.json {
      try Console.report(files.count == 1 ? reports[0].jsonText() : ReportList(reports).jsonText())
    } else {
      try Console.report(
        reports.map { $0.text(width: Console.width, showsTargets: targets, hints: .commandLine) }.joined(
          separator: "\n"))
    }
    return isUsable ? .done : .badData
  }

  private func inspect(_ file: String) throws -> InspectReport {
    let adapter = try told.adapters([file])[0]
    let hashes = self.hashes ?? common.json ? try AdapterHashes(of: adapter) : nil
    let survey =
      try norms
      ? withProgress("reading", total: adapter.targets.count, isQuiet: common.quiet) {
        try WeightSurvey(of: adapter, threads: common.threads, progress: $0)
      } : nil
    return InspectReport(
      adapter, hashes: hashes, survey: survey, loaders: loaders ? LoaderScales(of: adapter) : nil, hint: \.hint)
  }
}
