import ArgumentParser
import Merging
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

  @Option(help: "What an error counts: absolute (its size) or per-target (relative to the target's own delta).")
  var weigh = Weighing.absolute

  @Flag(help: "Let no target fall to rank 0.")
  var keepAllTargets = false

  mutating func validate() throws {
    let given = amount.count + [svRatio != nil, svFro != nil, svCumulative != nil].count { $0 }
    guard given <= 1 else {
      throw ValidationError(
        "expected one of --rank, --energy, --max-error, --size, --sv-ratio, --sv-fro, --sv-cumulative, found \(given)")
    }
    try AmountOptions.checkShares([("--sv-fro", svFro), ("--sv-cumulative", svCumulative)])
    if let svRatio, !(svRatio >= 1 && svRatio.isFinite) {
      throw ValidationError("--sv-ratio: expected a number of at least 1, found \(svRatio)")
    }
  }

  /// The sizes that `--size` lists, each as it was written.
  var sizes: [(text: String, bytes: ByteCount)] { get throws { try amount.sizes } }

  /// The rule, or `nil` when none was given. For several sizes the first.
  var rule: RankRule? {
    get throws {
      if let svRatio { return .svRatio(svRatio) }
      if let svFro { return .svFrobenius(svFro) }
      if let svCumulative { return .svCumulative(svCumulative) }
      return try amount.rule
    }
  }
}
