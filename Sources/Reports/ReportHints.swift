public import Baking
public import Factoring
public import Tensors

/// What a report's reader can ask for or do about something that it says. Whoever shows the report has words for it.
public struct ReportHints: Sendable {
  /// What a hint may be about.
  public enum Occasion: Sendable {
    /// Blocks are shown, and no target.
    case onlyBlocks
    /// Some of the targets are shown.
    case someTargets
    /// Some entries of the metadata are shown.
    case someMetadata
    /// Problems are looked for without the weights.
    case weightsNotRead
    /// What the targets add depends on the weights of a base.
    case needsBase
    /// A limit of ranks, and that it keeps more out.
    case rankLimit
    /// Targets have the highest rank that is allowed, and would have more.
    case capped
    /// Factors have few digits, and were rounded to them.
    case narrowFactors
    /// Something that the plan of a bake found.
    case bake(BakeFinding.Kind)
    /// Little of the delta is left after rounding; whether blocks of more bits would keep more.
    case littleSurvives(Rounding, hasLargerBlocks: Bool)
    /// Numbers are too large for an 8-bit format, or for the steps of a block, in a file of this kind.
    case clamped(BakeRecipe.Container)
    /// Little is kept of one adapter of several.
    case starved
    /// A note of a plan that has a remedy.
    case note(PlanNote.Remedy)
  }

  private let words: @Sendable (Occasion) -> String?

  /// - Parameter words: what to ask for or do, without a full stop; `nil` where there is nothing to say.
  public init(_ words: @escaping @Sendable (Occasion) -> String?) { self.words = words }

  /// No word for any occasion.
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
