import ArgumentParser
import Factoring
import Tensors

/// The ways to say how much is kept that every command with a choice of ranks has.
struct AmountOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Keep this rank in every target.", valueName: "n"))
  var rank: Int?

  @Option(help: ArgumentHelp("With --rank: another rank for convolutions with a kernel.", valueName: "n"))
  var convRank: Int?

  @Option(
    help: ArgumentHelp(
      "In each target keep the smallest rank with this share of its energy (0.95).", valueName: "share"))
  var energy: ShareArgument?

  @Option(
    help: ArgumentHelp(
      "Smallest file with at most this relative error over all targets (0.1), as errors are weighed.",
      valueName: "error"))
  var maxError: ShareArgument?

  @Option(help: ArgumentHelp("Smallest error of a file of at most this size (20MB, bytes, 50%).", valueName: "bytes"))
  var size: String?

  mutating func validate() throws {
    guard convRank == nil || rank != nil else { throw ValidationError("--conv-rank: expected --rank beside it") }
    for (name, value) in [("--rank", rank), ("--conv-rank", convRank)] {
      if let value, value < 1 { throw ValidationError("\(name): expected at least 1, found \(value)") }
    }
    try Self.checkShares([("--energy", energy?.value), ("--max-error", maxError?.value)])
    _ = try sizes
  }

  static func checkShares(_ options: [(name: String, value: Double?)]) throws {
    for (name, value) in options {
      if let value, !(value > 0 && value <= 1) {
        throw ValidationError("\(name): expected a number above 0 and at most 1, found \(value)")
      }
    }
  }

  /// How many of the ways were given.
  var count: Int { [rank != nil, energy != nil, maxError != nil, size != nil].count { $0 } }

  /// The sizes that `--size` lists, each as it was written.
  var sizes: [(text: String, amount: SizeAmount)] {
    get throws {
      try (size?.split(separator: ",", omittingEmptySubsequences: false) ?? []).map { text in
        guard let amount = SizeAmount(String(text)) else {
          throw ValidationError("--size: expected a size such as 20MB or 50%, found \(text)")
        }
        return (String(text), amount)
      }
    }
  }

  /// The rule, or `nil` when none was given. For several sizes the first.
  ///
  /// - Parameter whole: bytes of the input, which shares of its size are of.
  func rule(ofInput whole: () throws -> Int) throws -> RankRule? {
    if let rank { return .rank(rank, conv: convRank) }
    if let energy { return .energy(energy.value) }
    if let maxError { return .maxError(maxError.value) }
    return try sizes.first.map { size in
      if case .bytes(let bytes) = size.amount { return .size(bytes) }
      return .size(size.amount.bytes(of: try whole()))
    }
  }

  /// The rule where there is no single input that a size could be a share of.
  var rule: RankRule? {
    get throws {
      try rule {
        throw ValidationError("--size: expected a size such as 20MB, found \(size ?? ""), a share of one input")
      }
    }
  }
}
