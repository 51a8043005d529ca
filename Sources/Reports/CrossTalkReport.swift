public import JSON
public import Spectra
import Tensors

/// How much the adapters of a stack get in each other's way.
public struct CrossTalkReport: JSONReport {
  public static let schema = "lathe.compare-all/1"

  struct PairRow: Encodable, Sendable {
    var source: String
    var target: String
    @Explicit var cosine: Double? = nil
    var outputCrossTalk: Double
    var inputCrossTalk: Double
    var outputOverlap: Double
    var inputOverlap: Double
    var randomOutputOverlap: Double
    var randomInputOverlap: Double
    var sharedTargets: Int
  }

  /// From here on cross-talk is worth a warning.
  private static let limit = 0.3
  /// So many adapters get in each other's way.
  private static let many = 6

  let files: [String]
  let pairs: [PairRow]
  /// A sentence for each ordered pair and side with more cross-talk than 0.3.
  public let warnings: [String]

  /// - Parameter files: paths, in the order of the adapters that `crossTalk` was computed of.
  public init(files: [String], _ crossTalk: CrossTalk) {
    self.files = files
    pairs = crossTalk.pairs.map { pair in
      PairRow(
        source: files[pair.source], target: files[pair.target], cosine: pair.cosine, outputCrossTalk: pair.output,
        inputCrossTalk: pair.input, outputOverlap: pair.outputOverlap, inputOverlap: pair.inputOverlap,
        randomOutputOverlap: pair.randomOutputOverlap, randomInputOverlap: pair.randomInputOverlap,
        sharedTargets: pair.sharedTargets)
    }
    warnings = pairs.flatMap { pair in
      [("the inputs that", "answers", pair.inputCrossTalk), ("the outputs that", "writes to", pair.outputCrossTalk)]
        .filter { $0.2 > Self.limit }
        .map {
          "\(pair.source) \($0.1) \($0.0) \(pair.target) uses at \(Numbers.short($0.2)) of its strength; expect them to mix"
        }
    }
  }

  /// A line for each ordered pair.
  ///
  /// - Parameter width: of the terminal, in characters.
  public func text(width: Int) -> String {
    var lines = [
      "Cross-talk: how strongly one adapter writes to the outputs, and answers the inputs, that another uses.",
      "Overlap: share of common directions (in brackets: what chance alone gives).", "",
    ]
    var table = TextTable(
      .name("adapter"), .name("disturbs"), .number("cosine"), .number("outputs"), .number("inputs"),
      .number("output overlap"), .number("input overlap"), .number("targets"))
    for pair in pairs {
      table.add(
        pair.source, pair.target, pair.cosine.map(Numbers.short) ?? "–", Numbers.short(pair.outputCrossTalk),
        Numbers.short(pair.inputCrossTalk),
        "\(Numbers.percent(pair.outputOverlap)) (\(Numbers.percent(pair.randomOutputOverlap)))",
        "\(Numbers.percent(pair.inputOverlap)) (\(Numbers.percent(pair.randomInputOverlap)))",
        String(pair.sharedTargets))
    }
    lines += table.lines(width: width)
    if files.count >= Self.many {
      // Measured with a character and five styles, and every method of merging that others have.
      lines += [
        "",
        "At full strength six adapters together keep about a third of each (0.1 to 0.5), by whatever method they are merged; lower",
        "strengths keep most of each.",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
