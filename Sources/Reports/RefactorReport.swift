public import Factoring
public import JSON
import Tensors

/// What a resize or merge wrote, or would write.
public struct RefactorReport: JSONReport {
  /// That of a resize; `MergeReport` has another for the same fields.
  public static var schema: String { "lathe.resize/1" }

  struct TargetRow: Encodable, Sendable {
    var name: String
    var rankBefore: Int
    var rankAfter: Int
    var relativeError: Double
  }

  struct FormatRow: Encodable, Sendable {
    var dtype: String
    var predictedError: Double
    var otherDtype: String?
    var otherPredictedError: Double?
  }

  struct ClippedRow: Encodable, Sendable {
    var name: String
    var largestBefore: Double
    var largestAfter: Double
  }

  struct AdapterRow: Encodable, Sendable {
    var file: String
    var strength: Double
    @Explicit var retention: Double? = nil
  }

  /// Path of what was written; in a dry run, of what would be.
  public let output: String
  let bytes: Int
  let relativeError: Double
  let energy: Double
  let lowerBound: Double?
  /// How the adapters became one, where that is something else than their sum.
  let method: String?
  /// What the ranks were chosen by, where that is not the error in the weights.
  let weigh: String?
  let weightedRelativeError: Double?
  let weightedLowerBound: Double?
  /// Where a number format was chosen, it and the other with the errors that were foretold.
  let format: FormatRow?
  /// Targets whose largest singular values were taken down; `nil` where nothing of the kind was asked for.
  let clipped: [ClippedRow]?
  let dryRun: Bool
  let skipped: [String]
  let targets: [TargetRow]
  let adapters: [AdapterRow]
  /// The plan's notes, and adapters of which less than 80 % of the effect is kept, with hints where there are some.
  public let warnings: [String]
  /// Of `warnings` those that only the work has shown; the plan's own were known before.
  public let newWarnings: [String]
  /// What was tried before, if the size was searched for.
  public var until: UntilReport?

  private let methodLines: [String]
  private let bytesBefore: Int
  private let onlyFormat: FormatChoice.Reason?
  private let isCut: Bool

  private enum CodingKeys: String, CodingKey {
    case output, bytes, relativeError, energy, lowerBound, method, weigh, weightedRelativeError, weightedLowerBound,
      format, clipped
    case dryRun, skipped, targets, adapters, warnings, until
  }

  /// - Parameters:
  ///   - plan: the one that `result` comes from.
  ///   - clipped: targets with their largest singular values before and after, where some were taken down.
  ///   - format: the choice of a number format, if there was one.
  ///   - isDryRun: whether `result` is a prediction, whose errors are those before rounding.
  public init(
    _ result: RefactorResult, plan: RefactorPlan, clipped: [(name: String, from: Double, to: Double)] = [],
    format: FormatChoice? = nil, isDryRun: Bool,
    hints: ReportHints = .none
  ) {
    output = result.output
    bytes = result.bytes
    relativeError = result.relativeError
    energy = result.energy
    lowerBound = result.lowerBound
    let method = plan.recipe.method
    self.method = method.combines ? method.name : nil
    methodLines = method.combines ? MethodLines(method).lines : []
    weigh = result.weighted.map { _ in plan.recipe.weighing.rawValue }
    (weightedRelativeError, weightedLowerBound) = (result.weighted?.relativeError, result.weighted?.lowerBound)
    onlyFormat = format?.reason
    self.format = format.map {
      FormatRow(
        dtype: $0.chosen.dtype.rawValue.lowercased(), predictedError: $0.chosen.relativeError,
        otherDtype: $0.other?.dtype.rawValue.lowercased(), otherPredictedError: $0.other?.relativeError)
    }
    self.clipped =
      plan.recipe.clipping == .none
      ? nil : clipped.map { ClippedRow(name: $0.name, largestBefore: $0.from, largestAfter: $0.to) }
    dryRun = isDryRun
    skipped = plan.skipped
    targets = result.entries.map {
      TargetRow(name: $0.name, rankBefore: $0.rankBefore, rankAfter: $0.rankAfter, relativeError: $0.relativeError)
    }
    adapters = result.shares.map { AdapterRow(file: $0.file, strength: $0.strength, retention: $0.retention) }
    bytesBefore = plan.adapters.reduce(0) { $0 + $1.byteCount }
    isCut = result.isCut
    newWarnings = result.shares.filter(\.isStarved).map {
      "\($0.file): only \(Numbers.percent($0.retention!)) of its effect is kept"
        + (method.sharesLoss || method.combines ? "" : hints.ending(.starved))
    }
    warnings = hints.lines(of: plan.notes) + newWarnings
  }

  // MARK: Text

  /// The size, the error and the ranks.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each target gets a line.
  public func text(width: Int, showsTargets: Bool) -> String {
    var lines = ["\(output)\(dryRun ? "   (dry run: nothing was written)" : "")"]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 16) + value) }
    row(
      "size",
      "\(Numbers.grouped(bytes)) bytes (\(ByteCount(bytes))), \(Numbers.percent(Double(bytes) / Double(max(bytesBefore, 1)))) of \(ByteCount(bytesBefore))"
    )
    lines += methodLines
    row(
      "relative error",
      Numbers.short(relativeError) + (dryRun ? "   before rounding" : "   measured on what was written")
        + (method.map { ", of what \($0) makes" } ?? ""))
    row("energy kept", Numbers.percent(energy))
    if let weightedRelativeError, let weigh {
      lines += WeightedErrorLines(weigh, weightedRelativeError, bound: weightedLowerBound).lines
    } else if let lowerBound {
      row("lower bound", Numbers.short(lowerBound) + "   no choice of ranks of this size has a smaller error")
    }
    if let format {
      let other = format.otherDtype.map { "\($0) would have \(Numbers.short(format.otherPredictedError ?? 0))" }
      row(
        "number format",
        "\(format.dtype), error foretold \(Numbers.short(format.predictedError)); \(other ?? whyOnly)"
      )
    }
    if let clipped { row("clipped", Self.text(clipped)) }
    let kept = targets.filter { $0.rankAfter > 0 }
    row(
      "targets",
      "\(kept.count) of \(targets.count)"
        + (kept.count < targets.count ? ", the rest fell to rank 0 and is left out" : ""))
    row("ranks", Self.range(targets.map(\.rankBefore)) + " → " + Self.range(kept.map(\.rankAfter)))
    for adapter in isCut || method != nil ? adapters : [] {
      row(
        "keeps of",
        "\(adapter.retention.map(Numbers.percent) ?? "–") of \(adapter.file) at \(Numbers.short(adapter.strength))")
    }
    if let until { lines += [""] + until.lines(width: width) }
    if showsTargets {
      var table = TextTable(.name("target"), .number("rank"), .number("→"), .number("relative error"))
      for target in targets {
        table.add(target.name, String(target.rankBefore), String(target.rankAfter), Numbers.short(target.relativeError))
      }
      lines += table.lines(width: width)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func text(_ clipped: [ClippedRow]) -> String {
    guard let worst = clipped.max(by: { $0.largestBefore < $1.largestBefore }) else { return "no target" }
    return
      "\(clipped.count) \(clipped.count == 1 ? "target" : "targets"), at most from σ₁ \(Numbers.short(worst.largestBefore)) to "
      + "\(Numbers.short(worst.largestAfter)): \(worst.name)"
  }

  private var whyOnly: String {
    switch onlyFormat {
    case .rule(let dtype): "\(dtype.rawValue.lowercased()) cannot keep what was asked for"
    case .noScale, nil: "f8_e4m3 would need a scale for each target, which this dialect has no place for"
    }
  }

  private static func range(_ ranks: [Int]) -> String {
    guard let least = ranks.min(), let most = ranks.max() else { return "none" }
    return least == most ? "\(least)" : "\(least)…\(most)"
  }
}

/// The report of a merge: the same fields under its own schema.
public struct MergeReport: JSONReport {
  public static let schema = "lathe.merge/1"
  /// What is written, but for the schema.
  public let report: RefactorReport
  public init(_ report: RefactorReport) { self.report = report }
  /// Writes the fields of `report` as its own.
  public func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }
}

/// Several sizes made of one decomposition.
public struct ResizeSeriesReport: JSONReport {
  /// The same as that of one resize: a series has `outputs` and nothing else.
  public static let schema = "lathe.resize/1"
  let outputs: [RefactorReport]
  /// - Parameter outputs: one for each size, in the order in which they were asked for.
  public init(_ outputs: [RefactorReport]) { self.outputs = outputs }
}
