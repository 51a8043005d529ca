import ArgumentParser
import Factoring
import Tensors

/// The ways to say how much is kept. Exactly one is given, or none where the command allows it.
struct RuleOptions: ParsableArguments {
  @OptionGroup var amount: AmountOptions

  @Option(help: ArgumentHelp("Kohya's rule: keep singular values above the largest divided by this.", valueName: "x"))
  var svRatio: Double?

  @Option(
    help: ArgumentHelp(
      "Kohya's rule: keep this share of each target's Frobenius norm (energy is its square).", valueName: "x"))
  var svFro: Double?

  @Option(help: ArgumentHelp("Kohya's rule: keep this share of each target's sum of singular values.", valueName: "x"))
  var svCumulative: Double?

  @Option(
    help: ArgumentHelp(
      "What an error counts: absolute (its size), per-target (relative to the target's own delta), base (relative to the "
        + "weights of --base: the default with it), or pictures (what it does to them: with --base and --prompts, or by "
        + "--sensitivity alone).", valueName: "what"))
  var weigh: Weighing?

  @Option(
    help: ArgumentHelp(
      "With --weigh pictures: what lathe sensitivity wrote (default: beside the base, or measured first).",
      valueName: "file"))
  var sensitivity: String?

  @Flag(help: "Let no target fall to rank 0.")
  var keepAllTargets = false

  /// How many of the ways were given.
  var count: Int { amount.count + [svRatio != nil, svFro != nil, svCumulative != nil].count { $0 } }

  mutating func validate() throws {
    let given = count
    guard given <= 1 else {
      throw ValidationError(
        "expected one of --rank, --energy, --max-error, --size, --sv-ratio, --sv-fro, --sv-cumulative, found \(given)")
    }
    try AmountOptions.checkShares([("--sv-fro", svFro), ("--sv-cumulative", svCumulative)])
    if let svRatio, !(svRatio >= 1 && svRatio.isFinite) {
      throw ValidationError("--sv-ratio: expected a number of at least 1, found \(svRatio)")
    }
  }

  /// Whether what an error counts can be known.
  func checkWeighing(base: String?, hasPrompts: Bool) throws {
    switch weigh {
    case .base where base == nil:
      throw ValidationError("--weigh base: expected --base <checkpoint> beside it, found none")
    case .pictures where base == nil && sensitivity == nil:
      throw ValidationError(
        "--weigh pictures: expected --base <checkpoint>, or --sensitivity <file>, beside it, found neither")
    case .pictures where base == nil && hasPrompts:
      throw ValidationError("--prompts: expected --base <checkpoint> beside it to draw with, found none")
    case .pictures where base != nil && !hasPrompts:
      throw ValidationError(
        "--weigh pictures: expected --prompts or --prompt beside it, found neither; hint: a few prompts as the adapter is used, "
          + "with its trigger words")
    default: break
    }
    guard sensitivity == nil || weigh == .pictures else {
      throw ValidationError("--sensitivity: expected --weigh pictures beside it, found none")
    }
    guard weigh != .pictures || count == amount.count else {
      throw ValidationError(
        "--weigh pictures: expected --rank, --energy, --max-error or --size, found a rule of kohya's")
    }
  }

  /// What an error counts, where there is something to choose.
  ///
  /// - Parameter choosesRanks: whether targets compete for a size or an error.
  func weighing(base: String?, choosesRanks: Bool) -> Weighing {
    weigh ?? (base != nil && choosesRanks ? .base : .absolute)
  }

  /// The sizes that `--size` lists, each as it was written.
  var sizes: [(text: String, amount: SizeAmount)] { get throws { try amount.sizes } }

  /// The rule, or `nil` when none was given. For several sizes the first.
  var rule: RankRule? { get throws { try ownRule ?? amount.rule } }

  /// The same where sizes may be shares of one input's.
  func rule(ofInput whole: () throws -> Int) throws -> RankRule? { try ownRule ?? amount.rule(ofInput: whole) }

  private var ownRule: RankRule? {
    if let svRatio { return .svRatio(svRatio) }
    if let svFro { return .svFrobenius(svFro) }
    return svCumulative.map { .svCumulative($0) }
  }
}
