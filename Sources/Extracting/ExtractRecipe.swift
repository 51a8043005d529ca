public import Adapters
public import Checkpoints
public import Factoring
public import Models
public import Tensors

/// What the user wants: the difference of two checkpoints as an adapter.
public struct ExtractRecipe: Sendable {
  /// How many components of each target are kept.
  public enum Rule: Sendable, Equatable {
    /// As for adapters; kohya's rules are not offered.
    case ranks(RankRule)
    /// Those that stand above the noise that rounding the checkpoints made (`NoiseEdge`), shrunk by what it added.
    case auto

    /// For example `rank 32`; part of the recipe that outputs carry.
    public var description: String {
      switch self {
      case .ranks(let rule): rule.description
      case .auto: "auto"
      }
    }

    /// The rank of a target where the rule says it beforehand.
    func fixedRank(isConvolution: Bool) -> Int? {
      guard case .ranks(.rank(let rank, let conv)) = self else { return nil }
      return isConvolution ? conv ?? rank : rank
    }
  }

  /// A file, an index of shards, or a folder.
  public var base: String
  /// As `base`, with the same weights after a training.
  public var tuned: String
  /// How ranks are chosen.
  public var rule: Rule
  /// The number format of the output; chosen by what it has to hold when `nil`.
  public var dtype: DType?
  /// The dialect of the output; PEFT for language models and kohya for all others when `nil`.
  public var format: AdapterFormat?
  /// No target gets a higher rank, but by a rule that names it.
  public var maxRank: Int
  /// What both checkpoints are, where their names do not tell.
  public var family: Family?
  /// Whether weights that only one of the checkpoints has may be left aside.
  public var allowsUnmatched: Bool

  /// What `maxRank` is unless the user says otherwise.
  public static let defaultMaxRank = 256

  /// `maxRank` is at least 1.
  public init(
    base: String, tuned: String, rule: Rule, dtype: DType? = nil, format: AdapterFormat? = nil,
    maxRank: Int = ExtractRecipe.defaultMaxRank, allowsUnmatched: Bool = false
  ) {
    precondition(maxRank > 0, "a rank of at least 1")
    (self.base, self.tuned, self.rule) = (base, tuned, rule)
    (self.dtype, self.format, self.maxRank, self.allowsUnmatched) = (dtype, format, maxRank, allowsUnmatched)
  }

  /// What two checkpoints that are open differ in; the rest is set afterwards.
  public init(base: Checkpoint, tuned: Checkpoint, rule: Rule) {
    self.init(base: base.path, tuned: tuned.path, rule: rule)
  }

  /// The most components of a target that can be wanted.
  func limit(_ target: ExtractTarget) -> Int {
    min(rule.fixedRank(isConvolution: target.isConvolution) ?? maxRank, target.rows, target.columns)
  }
}
