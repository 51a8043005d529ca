import Adapters
import ArgumentParser
import Factoring
import Kernels
import Reports
import Spectra

struct Compare: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures how far one adapter is from another, or how several disturb each other (--all).",
    discussion: """
      Exact, from the factors, whatever their dialects, ranks and alphas. A target that only one adapter has counts in
      full. Strengths (FILE@STRENGTH) multiply the deltas first.

      Targets whose delta depends on the base weight (DoRA, GLoRA, OFT and others) need --base.

      With --probe the UNet of --base is asked about the same noisy latents with either adapter: a relative error of the
      prediction, and of the adapter's effect on it, which no weight hides from. Without --base, A and B are two base
      checkpoints.

      Examples:
        lathe compare style.safetensors style-small.safetensors
        lathe compare --all style.safetensors@0.8 character.safetensors detail.safetensors@0.4
        lathe compare style.safetensors style-small.safetensors --base model.safetensors --probe
        lathe compare model.safetensors baked.safetensors --probe
      """)

  @Argument(
    help: ArgumentHelp("Two adapters; with --all two or more.", valueName: "adapter"),
    transform: AdapterArgument.init)
  var adapters: [AdapterArgument]

  @Flag(help: "Show the cross-talk between all pairs instead of the error between two.")
  var all = false

  @Flag(help: "Also compare what the UNet predicts (Stable Diffusion 1, 2 and XL).")
  var probe = false

  @OptionGroup var probeOptions: CompareProbeOptions

  @OptionGroup var told: FamilyOption

  @Flag(help: "Show each target.")
  var targets = false

  @Flag(help: "Go on when a file has tensors that no known trainer writes; exit code 2.")
  var allowUnknown = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard all ? adapters.count >= 2 : adapters.count == 2 else {
      throw ValidationError("expected \(all ? "two or more" : "two") adapters, found \(adapters.count)")
    }
    guard !(probe && all) else { throw ValidationError("expected --all or --probe, found both") }
    for input in adapters.map(\.input) where input.textEncoderStrength != input.strength {
      throw ValidationError("\(input.path): expected one strength for the whole adapter, found two")
    }
  }

  var usesEngine: Bool { probe }
  var multiplies: Bool { true }

  func execute() throws -> Outcome {
    let inputs = adapters.map(\.input), asker = CompareProbe(options: probeOptions, common: common)
    if probe, probeOptions.base == nil {
      let report = CheckpointCompareReport(
        a: inputs[0].path, b: inputs[1].path, try asker.report(inputs[0].path, inputs[1].path))
      try common.show(report, text: report.text(width: Console.width))
      return .done
    }
    let opened = try told.adapters(inputs.map(\.path), base: probeOptions.base),
      binding = BaseBinding(path: probeOptions.base)
    let bound = try binding.bind(opened), files = bound.adapters
    for file in files { try file.requireWorkable(allowingUnknown: allowUnknown) }
    common.warn(try told.warnings(inputs.map(\.path)))
    if !probe { common.warn(binding.warnings(opened)) }
    common.warn(bound.isSameLeftOut ? bound.notes.map { $0 + ", the same in all" } : bound.notes)
    common.warn(
      files.flatMap { file in AdapterProblem.grouped(file.problems, hint: \.hint).map { "\(file.path): \($0)" } })
    var fitsBase = true
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
      var report = CompareReport(a: inputs[0].path, b: inputs[1].path, comparison)
      if probe, let base = probeOptions.base {
        let answer = try asker.report(inputs, files, base: base)
        (report.noisePrediction, fitsBase) = (answer.0, answer.1)
      }
      try common.show(report, text: report.text(width: Console.width, showsTargets: targets, hints: .commandLine))
    }
    let isWhole = bound.isSameLeftOut && files.allSatisfy(\.unknown.isEmpty)
    return fitsBase && isWhole ? .done : .skipped
  }
}

/// Options of `compare --probe`.
struct CompareProbeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The base checkpoint that the adapters are used with: for --probe, and for deltas that depend on it.",
      valueName: "path"))
  var base: String?

  @Option(help: "What the probe's picture shows; give the adapters' trigger words.")
  var prompt = "a photo"

  @Option(help: ArgumentHelp("The probe's size in pixels, multiples of 8.", valueName: "widthxheight"))
  var probeSize = PictureSize(width: 256, height: 256)

  @Option(help: "The UNet's arithmetic: f32, or bf16 where the processor has it.")
  var precision = Precision.f32

  mutating func validate() throws {
    guard probeSize.width % 8 == 0, probeSize.height % 8 == 0 else {
      throw ValidationError("--probe-size: expected multiples of 8, found \(probeSize.text)")
    }
    try precision.requireProcessor()
  }
}
