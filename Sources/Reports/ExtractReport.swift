public import Extracting
public import Factoring
public import JSON
import Models
import Tensors

/// What an extraction wrote, or would write.
public struct ExtractReport: JSONReport {
  public static let schema = "lathe.extract/1"

  struct TargetRow: Encodable, Sendable {
    var name: String
    var rankBefore: Int
    var rankAfter: Int
    var relativeError: Double
  }

  struct FullRow: Encodable, Sendable {
    var name: String
    var relativeError: Double
  }

  let output: String
  let bytes: Int
  let relativeError: Double
  let energy: Double
  /// What the ranks were chosen by, where that is not the error in the weights.
  let weigh: String?
  let weightedRelativeError: Double?
  let weightedLowerBound: Double?
  let family: String
  let format: String
  let dtype: String
  let dryRun: Bool
  let peakMemory: Int
  /// Weights that are the same in both, and those that differ by no more than rounding.
  let unchanged: Int
  let withinRounding: Int
  let capped: Int
  /// Changes that the adapter does not hold, each with the reason.
  public let skipped: [String]
  let targets: [TargetRow]
  let full: [FullRow]
  /// The plan's notes, and how many targets the highest allowed rank holds back, with hints where there are some.
  public let warnings: [String]
  /// Of `warnings` those that only the work has shown; the plan's own were known before.
  public let newWarnings: [String]

  private let rule: ExtractRecipe.Rule
  private let maxRank: Int
  private let bytesBefore: Int

  private enum CodingKeys: String, CodingKey {
    case output, bytes, relativeError, energy, weigh, weightedRelativeError, weightedLowerBound, family, format, dtype,
      dryRun, peakMemory, unchanged, withinRounding
    case capped, skipped, targets, full, warnings
  }

  /// - Parameters:
  ///   - peakMemory: as `ExtractPlan.peakMemory(threads:)`.
  ///   - weighing: what the ranks were chosen by, with the error in its units, where that is not the size of errors alone.
  public init(
    _ result: ExtractResult, plan: ExtractPlan, peakMemory: Int,
    weighing: (Weighing, error: RankAllocation.Weighted)? = nil, isDryRun: Bool, hints: ReportHints = .none
  ) {
    output = result.output
    bytes = result.bytes
    relativeError = result.relativeError
    energy = result.energy
    weigh = weighing?.0.rawValue
    (weightedRelativeError, weightedLowerBound) = (weighing?.error.relativeError, weighing?.error.lowerBound)
    family = plan.family.name
    format = plan.format.rawValue
    dtype = result.dtype.rawValue
    dryRun = isDryRun
    self.peakMemory = peakMemory
    unchanged = result.equalCount
    withinRounding = result.withinRoundingCount
    capped = result.cappedCount
    skipped = result.skipped
    targets = result.entries.map {
      TargetRow(name: $0.name, rankBefore: $0.rankBefore, rankAfter: $0.rankAfter, relativeError: $0.relativeError)
    }
    full = result.full.map { FullRow(name: $0.name, relativeError: $0.relativeError) }
    rule = plan.recipe.rule
    maxRank = plan.recipe.maxRank
    bytesBefore = plan.tuned.byteCount
    newWarnings =
      result.cappedCount > 0
      ? [
        "\(result.cappedCount) targets have the highest rank that is allowed, \(plan.recipe.maxRank), and would have "
          + "more\(hints.ending(.capped))"
      ] : []
    warnings = hints.lines(of: plan.notes) + newWarnings
  }

  // MARK: Text

  /// The size, the error and the ranks.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each target gets a line.
  public func text(width: Int, showsTargets: Bool, hints: ReportHints = .none) -> String {
    var lines = ["\(output)\(dryRun ? "   (dry run: nothing was written)" : "")"]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 16) + value) }
    row("made for", "\(family), \(format) names, \(dtype)")
    row(
      "size",
      "\(Numbers.grouped(bytes)) bytes (\(ByteCount(bytes))), \(Numbers.percent(Double(bytes) / Double(max(bytesBefore, 1)))) of \(ByteCount(bytesBefore))"
    )
    row("memory", "up to about \(ByteCount(peakMemory))")
    row(
      "relative error",
      Numbers.short(relativeError) + (dryRun ? "   before rounding" : "   measured on what was written"))
    if rule == .auto {
      row("", "noise from rounding the checkpoints counts as error here, and was left out on purpose")
    }
    row("energy kept", Numbers.percent(energy))
    if let weightedRelativeError, let weigh {
      lines += WeightedErrorLines(weigh, weightedRelativeError, bound: weightedLowerBound).lines
    }
    let kept = targets.filter { $0.rankAfter > 0 }
    row(
      "targets",
      "\(kept.count) of \(targets.count) that changed"
        + (kept.count < targets.count
          ? rule == .auto
            ? "; in the rest nothing stands above the noise" : "; the rest fell to rank 0 and is left out" : ""))
    row("ranks", Self.range(kept.map(\.rankAfter)))
    if capped > 0 { row("", "\(capped) of them at the limit of \(maxRank)\(hints.aside(.rankLimit))") }
    if !full.isEmpty { row("kept in full", "\(full.count) biases, norms and embeddings") }
    row("left out", "\(unchanged) weights are equal in both, \(withinRounding) differ by no more than rounding")
    if !skipped.isEmpty {
      row("skipped", "\(skipped.count) changes that the adapter does not hold (each is named)")
    }
    if showsTargets {
      var table = TextTable(.name("target"), .number("full rank"), .number("→"), .number("relative error"))
      for target in targets {
        table.add(target.name, String(target.rankBefore), String(target.rankAfter), Numbers.short(target.relativeError))
      }
      for target in full { table.add(target.name, "full", "full", Numbers.short(target.relativeError)) }
      lines += table.lines(width: width)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func range(_ ranks: [Int]) -> String {
    guard let least = ranks.min(), let most = ranks.max() else { return "none" }
    return least == most ? "\(least)" : "\(least)…\(most)"
  }
}
