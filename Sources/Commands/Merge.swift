import Adapters
import ArgumentParser
import Checkpoints
import Factoring
import Foundation
import Merging
import Reports
import Tensors

struct Merge: LatheCommand {
  static let configuration = CommandConfiguration(
    abstract: "Joins several adapters into one: the exact weighted sum of their deltas.",
    discussion: """
      Any ranks, alphas, signs, number formats and dialects. The sum is exact at minimal rank (--method exact), or cut
      to a rank, error or size like a resize. The report says what is kept of each adapter.

      Whole modules and biases of PEFT adapters stay whole in PEFT's format: merged exactly with --base
      or where their strengths add up to 1, and copied where only one adapter has them.

      Examples:
        lathe merge style.safetensors@0.8 character.safetensors@0.6 -o both.safetensors
        lathe merge a.safetensors@0.7 b.safetensors@-0.3 -o small.safetensors --size 40MB --fair
        lathe merge --ema 0.1 run-000002.safetensors run-000004.safetensors run-000006.safetensors -o run-ema.safetensors
        lathe merge --recipe merge.yaml -o merged.safetensors
        lathe merge a.safetensors b.safetensors --try exact,ties,tsv --rank 32 -o both-{method}.safetensors \\
          --base sd15.safetensors --prompts p.txt --sheet ways.png
      """)

  @Argument(
    help: ArgumentHelp(
      "Adapters with their strengths: FILE@0.8, or FILE@0.8,0.5 for UNet and text encoder.", valueName: "adapter"),
    transform: SnapshotArgument.init)
  var adapters: [SnapshotArgument] = []

  @OptionGroup var methods: MergeMethodOptions

  @Flag(
    help: ArgumentHelp(
      "Make the components of an exact sum anew, in order of size, also where the adapters' own can stand side by side: then a "
        + "prefix of them is the best cut. It takes longer, and rounds twice."))
  var canonical = false

  @Option(
    help: ArgumentHelp(
      "Average a training's snapshots as an exponential moving average of this relative width would (0.02 to 0.28; 0.1 is "
        + "usual). Steps are read from metadata or names, or said: FILE@step=500.", valueName: "width"))
  var ema: Double?

  @OptionGroup var base: BaseOption
  @OptionGroup var rules: RuleOptions
  @OptionGroup var clipping: ClippingOptions
  @OptionGroup var writer: WriterOptions

  @OptionGroup var trial: MergeTrialOptions

  @OptionGroup(title: "Pictures for --try; prompts, seed and cfg for --weigh pictures too") var scenes:
    AuditSceneOptions

  @Option(
    help: ArgumentHelp(
      "Width and height of pictures (default: the model's; at most 256 to weigh by).", valueName: "WxH"))
  var pictureSize: PictureSize?

  @Option(help: ArgumentHelp("Read adapters and options from a YAML file; options here win.", valueName: "file"))
  var recipe: String?

  @Option(help: "Names of the result: \(DialectArgument.list) (default: the adapters' own, or kohya).")
  var format: DialectArgument?

  @OptionGroup var told: FamilyOption

  @Flag(help: "Show each target.")
  var targets = false

  @Flag(help: "Leave out tensors that no known trainer writes, and modules that the model has not; exit code 2.")
  var allowUnknown = false

  @Flag(help: "Leave out whole modules and biases that cannot be merged without their base; exit code 2.")
  var allowUnmatched = false

  @OptionGroup var common: CommonOptions

  /// An adapter with its strength, or a snapshot with its step: `FILE@step=500`.
  struct SnapshotArgument {
    let input: AdapterInput
    let step: Int?

    @Sendable init(_ argument: String) throws {
      guard let mark = argument.range(of: "@step=", options: .backwards), let step = Int(argument[mark.upperBound...])
      else {
        (input, step) = (try AdapterArgument(argument).input, nil)
        return
      }
      guard step > 0, mark.lowerBound != argument.startIndex else {
        throw ValidationError("\(argument): expected a file and a step of at least 1")
      }
      (input, self.step) = (.init(path: String(argument[..<mark.lowerBound])), step)
    }
  }

  func validate() throws {
    guard recipe != nil || !adapters.isEmpty else {
      throw ValidationError("expected adapters or --recipe, found neither")
    }
    guard recipe == nil || adapters.isEmpty else { throw ValidationError("expected adapters or --recipe, found both") }
    let rule = try rules.rule
    switch methods.method {
    case .exact where rule != nil:
      throw ValidationError("--method exact: expected no rank, energy, error or size beside it")
    case .method(let choice) where rule == nil && recipe == nil && !choice.make(.init()).combines:
      throw ValidationError("--method \(choice.name): expected one of --rank, --energy, --max-error or --size")
    default: break
    }
    if canonical, rule != nil {
      throw ValidationError("--canonical: expected no rank, energy, error or size beside it")
    }
    if let ema {
      guard PowerAverage.widths.contains(ema) else {
        throw ValidationError("--ema: expected a width of 0.02 to 0.28, found \(ema)")
      }
      guard recipe == nil, adapters.allSatisfy({ $0.input.strength == 1 && $0.input.textEncoderStrength == 1 }) else {
        throw ValidationError("--ema: expected snapshots without strengths, which it finds itself, found some")
      }
    } else if let snapshot = adapters.first(where: { $0.step != nil }) {
      throw ValidationError("\(snapshot.input.path): @step: expected --ema beside it, found none")
    }
    guard try rules.sizes.count <= 1 else { throw ValidationError("--size: expected one size, found several") }
    let output = try writer.requiredOutput()
    try trial.check(
      output: output, hasMethod: methods.method != nil || methods.fair, base: base.base, hasPrompts: scenes.hasPrompts)
    if !trial.isAsked { try scenes.requireNoneOfPictures(but: "--try") }
  }

  var usesEngine: Bool { trial.isAsked || rules.weigh == .pictures && base.base != nil }
  var multiplies: Bool { true }

  func execute() throws -> Outcome {
    var recipe = try resolvedRecipe()
    // What a recipe's file says of the rule counts too.
    try rules.checkWeighing(base: recipe.base, hasPrompts: scenes.hasPrompts)
    let sources = try told.adapters(recipe.inputs.map(\.path), base: recipe.base)
    common.warn(try told.warnings(recipe.inputs.map(\.path)))
    if let ema { try average(sources, width: ema, in: &recipe) }
    if trial.isAsked { return try tryAll(recipe, sources) }
    let opened = try recipe.needsBaseWeights ? recipe.base.map { try Checkpoint(path: $0) } : nil
    let plan = try self.plan(recipe, sources, base: opened, to: try writer.requiredOutput())
    tellNotes(of: plan, base: opened)
    let report = try self.report(plan, sources, base: opened, to: try writer.requiredOutput())
    try common.show(MergeReport(report), text: report.text(width: Console.width, showsTargets: targets))
    return plan.skipped.isEmpty ? .done : .skipped
  }

  /// The plan of a merge whose output can be written.
  func plan(
    _ recipe: RefactorRecipe, _ sources: [Adapter], base: Checkpoint?, to output: String
  ) throws -> RefactorPlan {
    try writer.checkAuto(rule: recipe.rule)
    if recipe.weighing == .pictures {
      guard !recipe.method.sharesLoss, !recipe.method.combines else {
        throw ValidationError("--weigh pictures: expected no other method beside it, found \(recipe.method.name)")
      }
      guard recipe.rule != .exact else {
        throw ValidationError("--weigh pictures: expected a rank, energy, error or size to cut to, found none")
      }
    }
    let plan = try RefactorPlan(recipe, adapters: sources, base: base)
    if !writer.dryRun { try plan.checkDestination(output, overwriting: writer.force) }
    return plan
  }

  func tellNotes(of plan: RefactorPlan, base: Checkpoint?) {
    common.warn(
      ReportHints.commandLine.lines(of: plan.notes)
        + (plan.isBaseUnused && base == nil ? [BaseBinding.unused] : []) + plan.skipped.map { "skipped: \($0)" })
  }

  /// What was written by a plan, or would be.
  func report(
    _ plan: RefactorPlan, _ sources: [Adapter], base: Checkpoint?, to output: String
  ) throws -> RefactorReport {
    let decomposed = try Weigher(
      sensitivity: rules.sensitivity, scenes: scenes.scene, size: pictureSize, common: common
    )
    .decomposition(of: plan, sources, base: base)
    return try RefactorRun(
      decomposed: decomposed, writer: writer, common: common, choosesFormat: writer.dtype == .auto
    ).report(rule: nil, output: output)
  }

  /// Gives snapshots the strengths that make their sum an average over the training.
  private func average(_ snapshots: [Adapter], width: Double, in recipe: inout RefactorRecipe) throws {
    let told = adapters.compactMap(\.step)
    guard told.isEmpty || told.count == adapters.count else {
      throw ValidationError("--ema: expected @step= behind all snapshots or none, found it behind \(told.count)")
    }
    guard let steps = told.isEmpty ? PowerAverage.steps(of: snapshots) : told, Set(steps).count == steps.count else {
      throw ValidationError(
        "--ema: expected a step of its own for each snapshot, in its metadata or its name, found none or the same twice; hint: "
          + "FILE@step=500")
    }
    let average = PowerAverage(width: width), order = steps.indices.sorted { steps[$0] < steps[$1] }
    for (place, weight) in zip(order, average.weights(steps: order.map { steps[$0] })) {
      (recipe.inputs[place].strength, recipe.inputs[place].textEncoderStrength) = (weight, weight)
    }
    recipe.averageWidth = width
    let count = average.snapshotsThatCount(steps: order.map { steps[$0] })
    if count < 6 {
      common.warn([
        "\(count) of \(steps.count) snapshots lie where the average looks: with fewer than six it says little"
      ])
    }
  }

  /// The recipe file, if any, with what the command line says on top.
  private func resolvedRecipe() throws -> RefactorRecipe {
    let file = try recipe.map { try MergeRecipeFile(path: $0) }
    var result = file?.recipe ?? RefactorRecipe(.merge, inputs: adapters.map(\.input), rule: .exact)
    if let rule = try rules.rule { result.rule = rule }
    if case .exact = methods.method { result.rule = .exact }
    if let dtype = writer.dtype?.dtype { result.dtype = dtype }
    if let format { result.format = format.format }
    if rules.keepAllTargets { result.keepsAllTargets = true }
    let paths = result.inputs.map(\.path)
    try methods.check([methods.method].compactMap { $0 }, adapters: paths)
    // What the file says of how to cut stays where the command line only says that something is cut.
    if case .method(let choice) = methods.method {
      let method = choice.make(methods.settings(adapters: paths))
      if !method.isUsual { result.method = method }
    }
    if methods.fair { result.method = FairShares() }
    if allowUnknown { result.allowsUnknown = true }
    if let base = base.base { result.base = base }
    // What the file says of it is no default.
    if rules.weigh != nil || file?.saysWeighing != true {
      result.weighing = rules.weighing(base: result.base, choosesRanks: result.rule.looksAtWholeFile)
    }
    result.clipping = clipping.clipping
    try clipping.check(result.weighing)
    result.allowsUnmatched = allowUnmatched
    result.isCanonical = canonical
    return result
  }
}
