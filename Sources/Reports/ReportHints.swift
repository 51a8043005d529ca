public import Baking
public import Factoring
public import Tensors

/// What a report's reader can ask for or do about something that it says. Whoever shows the report has words for it.
public struct ReportHints: Sendable {
  public enum Occasion: Sendable {
    /// Blocks are shown, and no target.
    case onlyBlocks
    /// Some of the targets are shown.
    case someTargets
    case someMetadata
    /// Problems are looked for without the weights.
    case weightsNotRead
    case needsBase
    /// A limit of ranks, and that it keeps more out.
    case rankLimit
    case capped
    /// Factors have few digits, and were rounded to them.
    case narrowFactors
    case bake(BakeFinding.Kind)
    /// Little of the delta is left after rounding.
    case littleSurvives(Rounding)
    /// Numbers are too large for an 8-bit format.
    case clamped
    /// Little is kept of one adapter of several.
    case starved
    case note(PlanNote.Remedy)
  }

  private let words: @Sendable (Occasion) -> String?

  public init(_ words: @escaping @Sendable (Occasion) -> String?) { self.words = words }

  public static let none = ReportHints { _ in nil }

  func callAsFunction(_ occasion: Occasion) -> String? { words(occasion) }

  /// `; hint: <words>`, or nothing.
  func ending(_ occasion: Occasion) -> String { words(occasion).map { "; hint: \($0)" } ?? "" }

  /// Notes with what to try.
  public func lines(of notes: [PlanNote]) -> [String] {
    notes.map { $0.text + ($0.remedy.map { ending(.note($0)) } ?? "") }
  }

  /// ` (<words>)`, or nothing.
  func aside(_ occasion: Occasion) -> String { words(occasion).map { " (\($0))" } ?? "" }
}
