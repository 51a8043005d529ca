public import Adapters
public import Tensors

/// What the user wants: adapters with their strengths, and how their sum is to be written.
public struct RefactorRecipe: Sendable {
  public enum Operation: String, Sendable {
    /// One adapter to other ranks: names and scales stay.
    case resize
    /// Several adapters to one.
    case merge
  }

  public typealias Input = AdapterInput

  public var operation: Operation
  public var inputs: [Input]
  public var rule: RankRule
  public var weighing: Weighing
  /// The number format of the factors; each target's own when `nil`.
  public var dtype: DType?
  /// The dialect of a merge; the adapters' common one when `nil`, or else kohya's.
  public var format: AdapterFormat?
  public var keepsAllTargets: Bool
  /// How a sum is cut.
  public var method: any MergeMethod
  public var allowsUnknown: Bool
  /// Counts ranks as kohya's resize script did until 2026: one too many.
  public var countsLikeKohya: Bool
  /// A checkpoint, for targets whose delta depends on the weight that it changes.
  public var base: String?
  /// Whether whole weights that cannot be merged may be left out.
  public var allowsUnmatched = false

  public init(
    _ operation: Operation, inputs: [Input], rule: RankRule, weighing: Weighing = .absolute, dtype: DType? = nil,
    format: AdapterFormat? = nil, keepsAllTargets: Bool = false, method: any MergeMethod = LeadingComponents(),
    allowsUnknown: Bool = false,
    countsLikeKohya: Bool = false, base: String? = nil
  ) {
    self.operation = operation
    self.inputs = inputs
    self.rule = rule
    self.weighing = weighing
    self.dtype = dtype
    self.format = format
    self.keepsAllTargets = keepsAllTargets
    self.method = method
    self.allowsUnknown = allowsUnknown
    self.countsLikeKohya = countsLikeKohya
    self.base = base
  }

  /// One adapter to other ranks.
  public init(resizing adapter: Adapter, rule: RankRule) {
    self.init(.resize, inputs: [Input(path: adapter.path)], rule: rule)
  }

  /// Several adapters to one.
  public init(merging adapters: [(adapter: Adapter, strength: Double)], rule: RankRule = .exact) {
    self.init(.merge, inputs: adapters.map { Input(path: $0.adapter.path, strength: $0.strength) }, rule: rule)
  }
}
