import Adapters
import ArgumentParser
import Merging
import Reports
import Spectra

struct Compare: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures how far one adapter is from another, or how several disturb each other (--all).",
    discussion: """
      Exact, from the factors, whatever their dialects, ranks and alphas. A target that only one adapter has counts in
      full. Strengths (FILE@STRENGTH) multiply the deltas first.

      Examples:
        lathe compare style.safetensors style-small.safetensors
        lathe compare --all style.safetensors@0.8 character.safetensors detail.safetensors@0.4
      """)

  @Argument(help: ArgumentHelp("Two adapters; with --all two or more.", valueName: "adapter"))
  var adapters: [AdapterArgument]

  @Flag(help: "Show the cross-talk between all pairs instead of the error between two.")
  var all = false

  @Flag(help: "Show each target.")
  var targets = false

  @Flag(help: "Go on when a file has tensors that no known trainer writes; exit code 2.")
  var allowUnknown = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard all ? adapters.count >= 2 : adapters.count == 2 else {
      throw ValidationError("expected \(all ? "two or more" : "two") adapters, found \(adapters.count)")
    }
    for input in adapters.map(\.input) where input.textEncoderStrength != input.strength {
      throw ValidationError("\(input.path): expected one strength for the whole adapter, found two")
    }
  }

  func execute() throws -> Outcome {
    let inputs = adapters.map(\.input)
    let files = try inputs.map { try Adapter(path: $0.path) }
    for file in files { try file.requireWorkable(allowingUnknown: allowUnknown) }
    common.warn(files.flatMap { file in AdapterProblem.grouped(file.problems).map { "\(file.path): \($0)" } })
    let total = Set(files.flatMap { $0.targets.map(\.key) }).count
    if all {
      let crossTalk = try withProgress("comparing", total: total, isQuiet: common.quiet) {
        try CrossTalk(files, strengths: inputs.map(\.strength), threads: common.threads, progress: $0)
      }
      let report = CrossTalkReport(files: inputs.map(\.path), crossTalk)
      common.warn(report.warnings)
      try common.show(report, text: report.text(width: Console.width))
    } else {
      let comparison = try withProgress("comparing", total: total, isQuiet: common.quiet) {
        try Comparison(
          files[0], files[1], strengths: (inputs[0].strength, inputs[1].strength), threads: common.threads, progress: $0
        )
      }
      let report = CompareReport(a: inputs[0].path, b: inputs[1].path, comparison)
      try common.show(report, text: report.text(width: Console.width, showsTargets: targets))
    }
    return files.allSatisfy(\.unknown.isEmpty) ? .done : .skipped
  }
}
