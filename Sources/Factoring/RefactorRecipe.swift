public import Adapters
public import Tensors

/// What the user wants: adapters with their strengths, and how their sum is to be written.
public struct RefactorRecipe: Sendable {
  /// Whether the output is an adapter of its own or keeps the spelling of its only input.
  public enum Operation: String, Sendable {
    /// One adapter to other ranks: names and scales stay.
    case resize
    /// Several adapters to one.
    case merge
  }

  /// What a recipe begins with: a file and its strengths.
  public typealias Input = AdapterInput

  /// Decides on names, scales and metadata of the output.
  public var operation: Operation
  /// One for `resize`; one or more for `merge`.
  public var inputs: [Input]
  /// How large the ranks, or the whole file, may be.
  public var rule: RankRule
  /// How an error in one target counts against one in another.
  public var weighing: Weighing
  /// The number format of the factors; each target's own when `nil`.
  public var dtype: DType?
  /// The dialect of a merge; the adapters' common one when `nil`, or else kohya's.
  public var format: AdapterFormat?
  /// Keeps at least one component of every target, where it would otherwise be left out.
  public var keepsAllTargets: Bool
  /// What several deltas become, and how their sum is cut.
  public var method: any MergeMethod
  /// Leaves out tensors that no known trainer writes.
  public var allowsUnknown: Bool
  /// Counts ranks as kohya's resize script did until 2026: one too many.
  public var countsLikeKohya: Bool
  /// A checkpoint, for targets whose delta depends on the weight that it changes.
  public var base: String?
  /// Whether whole weights that cannot be merged may be left out.
  public var allowsUnmatched = false
  /// What becomes of singular values that stand out.
  public var clipping = SpikeClipping.none
  /// Whether the components of an exact sum are made anew, in order of size, also where the adapters' own could stand side by side.
  public var isCanonical = false
  /// The relative width of the average over a training's snapshots that the strengths are of; `nil` for none.
  public var averageWidth: Double?

  /// The rest is set afterwards.
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

  /// Whether weights of the base decide what is kept, where a base is given.
  public var needsBaseWeights: Bool {
    if case .spikes = clipping { return true }
    return weighing.needsMeasures
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
