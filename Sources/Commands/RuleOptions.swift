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

  @Option(help: "What an error counts: absolute (its size) or per-target (relative to the target's own delta).")
  var weigh = Weighing.absolute

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
