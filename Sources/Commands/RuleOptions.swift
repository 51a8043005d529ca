import ArgumentParser
import Merging
import Tensors

/// The ways to say how much is kept. Exactly one is given, or none where the command allows it.
struct RuleOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Keep this rank in every target.", valueName: "n"))
  var rank: Int?

  @Option(help: ArgumentHelp("With --rank: another rank for convolutions with a kernel.", valueName: "n"))
  var convRank: Int?

  @Option(
    help: ArgumentHelp(
      "In each target keep the smallest rank with this share of its energy (0.95).", valueName: "share"))
  var energy: Double?

  @Option(
    help: ArgumentHelp("Smallest file with at most this relative error over all targets (0.1).", valueName: "error"))
  var maxError: Double?

  @Option(help: ArgumentHelp("Smallest error of a file of at most this size (20MB, 20MiB, bytes).", valueName: "bytes"))
  var size: String?

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
    let given = [
      rank != nil, energy != nil, maxError != nil, size != nil, svRatio != nil, svFro != nil, svCumulative != nil,
    ].count { $0 }
    guard given <= 1 else {
      throw ValidationError(
        "expected one of --rank, --energy, --max-error, --size, --sv-ratio, --sv-fro, --sv-cumulative, found \(given)")
    }
    guard convRank == nil || rank != nil else { throw ValidationError("--conv-rank: expected --rank beside it") }
    for (name, value) in [("--rank", rank), ("--conv-rank", convRank)] {
      if let value, value < 1 { throw ValidationError("\(name): expected at least 1, found \(value)") }
    }
    for (name, value) in [
      ("--energy", energy), ("--max-error", maxError), ("--sv-fro", svFro), ("--sv-cumulative", svCumulative),
    ] {
      if let value, !(value > 0 && value <= 1) {
        throw ValidationError("\(name): expected a number above 0 and at most 1, found \(value)")
      }
    }
    if let svRatio, !(svRatio >= 1 && svRatio.isFinite) {
      throw ValidationError("--sv-ratio: expected a number of at least 1, found \(svRatio)")
    }
    _ = try sizes
  }

  /// The sizes that `--size` lists, each as it was written.
  var sizes: [(text: String, bytes: ByteCount)] {
    get throws {
      try (size?.split(separator: ",", omittingEmptySubsequences: false) ?? []).map { text in
        guard let bytes = ByteCount(String(text)) else {
          throw ValidationError("--size: expected a size such as 20MB, found \(text)")
        }
        return (String(text), bytes)
      }
    }
  }

  /// The rule, or `nil` when none was given. For several sizes the first.
  var rule: RankRule? {
    get throws {
      if let rank { return .rank(rank, conv: convRank) }
      if let energy { return .energy(energy) }
      if let maxError { return .maxError(maxError) }
      if let first = try sizes.first { return .size(first.bytes) }
      if let svRatio { return .svRatio(svRatio) }
      if let svFro { return .svFrobenius(svFro) }
      if let svCumulative { return .svCumulative(svCumulative) }
      return nil
    }
  }
}
