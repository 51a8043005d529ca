public import JSON
public import Spectra
import Tensors

/// How far one adapter is from another.
public struct CompareReport: JSONReport {
  public static let schema = "lathe.compare/1"

  struct TargetRow: Encodable, Sendable {
    var name: String
    var presence: String
    var relativeError: Double
    var spectralError: Double
    @Explicit var cosine: Double? = nil
    var normA: Double
    var normB: Double
    var upCosines: [Double]
    var downCosines: [Double]
  }

  struct Fit: Encodable, Sendable {
    var factor: Double
    var relativeError: Double
  }

  let a: String
  let b: String
  /// ‖A − B‖ ÷ ‖A‖ over all targets; 0 where both are zero, infinite where only A is.
  public let relativeError: Double
  @Explicit var cosine: Double? = nil
  let normA: Double
  let normB: Double
  /// B ≈ factor · A, and how far B is from that.
  @Explicit var bestFit: Fit? = nil
  let onlyInA: [String]
  let onlyInB: [String]
  /// What the denoiser makes of them, if it was asked.
  public var noisePrediction: NoiseProbeReport?
  let targets: [TargetRow]

  /// - Parameters:
  ///   - a: path of the adapter that errors are relative to.
  ///   - b: path of the other one.
  public init(a: String, b: String, _ comparison: Comparison) {
    self.a = a
    self.b = b
    relativeError = comparison.relativeError
    normA = comparison.normA
    normB = comparison.normB
    onlyInA = comparison.entries.filter { $0.presence == .onlyA }.map(\.name)
    onlyInB = comparison.entries.filter { $0.presence == .onlyB }.map(\.name)
    targets = comparison.entries.map { entry in
      TargetRow(
        name: entry.name, presence: entry.presence.rawValue, relativeError: entry.relativeError,
        spectralError: entry.spectralError, cosine: entry.cosine, normA: entry.normA, normB: entry.normB,
        upCosines: entry.upCosines, downCosines: entry.downCosines)
    }
    cosine = comparison.cosine
    bestFit = comparison.bestFit.map { Fit(factor: $0.factor, relativeError: $0.relativeError) }
  }

  // MARK: Text

  /// Both as a whole, and a table of targets.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether all targets get a line in their order, or only the ten that are farthest apart.
  public func text(width: Int, showsTargets: Bool, hints: ReportHints = .none) -> String {
    var lines = ["A  \(a)", "B  \(b)"]
    lines.append("  relative error  \(Numbers.short(relativeError))   ‖A − B‖ ÷ ‖A‖ over all targets: \(meaning)")
    lines.append("  cosine          \(cosine.map(Numbers.short) ?? "none: one side is zero")")
    lines.append("  norms           A \(Numbers.short(normA)), B \(Numbers.short(normB))")
    if let bestFit {
      lines.append(
        "  best fit        B ≈ \(Numbers.short(bestFit.factor)) · A, off by \(Numbers.percent(bestFit.relativeError)) of B"
      )
    }
    lines.append(
      "  targets         \(targets.count - onlyInA.count - onlyInB.count) in both, \(onlyInA.count) only in A, \(onlyInB.count) only in B"
    )
    let shown = showsTargets ? targets : Array(targets.sorted { $0.relativeError > $1.relativeError }.prefix(10))
    lines += ["", showsTargets ? "targets" : "farthest targets\(hints.aside(.someTargets))"]
    var table = TextTable(
      .name("target"), .word("in"), .number("relative"), .number("spectral"), .number("cosine"),
      .number("outputs shared"), .number("inputs shared"))
    for target in shown {
      table.add(
        target.name, target.presence == "both" ? "A B" : target.presence == "onlyA" ? "A" : "B",
        Numbers.short(target.relativeError),
        Numbers.short(target.spectralError), target.cosine.map(Numbers.short) ?? "–", Self.overlap(target.upCosines),
        Self.overlap(target.downCosines))
    }
    let probe = noisePrediction.map { [""] + $0.lines(width: width) } ?? []
    return (lines + table.lines(width: width) + probe).joined(separator: "\n") + "\n"
  }

  private var meaning: String {
    switch relativeError {
    case ..<1e-6: "the same up to rounding"
    case ..<0.01: "nearly the same"
    case ..<0.1: "small differences"
    case ..<0.5: "clearly different"
    default: "different adapters"
    }
  }

  /// The mean squared cosine of the principal angles.
  private static func overlap(_ cosines: [Double]) -> String {
    cosines.isEmpty ? "–" : Numbers.percent(cosines.reduce(0) { $0 + $1 * $1 } / Double(cosines.count))
  }
}
