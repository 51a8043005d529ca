public import Adapters
public import Checkpoints
public import Factoring

/// Adapters at strengths on a base: what of them fits, what is left out and why, and the weights that come of it.
///
/// Headers and alphas have been read; weights are computed when they are asked for.
public struct Stack: Sendable {
  /// An adapter's match with the base, and how strongly it is used.
  public struct Layer: Sendable {
    /// Where its targets go.
    public let fit: AdapterFit
    /// The file and its strengths, as the user gave them.
    public let input: AdapterInput

    /// The adapter with the deltas of targets that depend on the base.
    public var adapter: Adapter { fit.adapter }

    /// Targets that would have an effect and have no place in the base. A part of an adapter that is used at strength 0 is left out by
    /// the user's own word.
    public var misfits: [AdapterFit.Entry] {
      fit.entries.filter { $0.finding != .fits && input.strength(for: $0.key) != 0 }
    }

    /// How many targets have an effect.
    var targetCount: Int {
      zip(fit.entries, adapter.targets).count { $0.finding == .fits && input.strength(for: $1.key) != 0 }
    }

    /// What matching it with the base found.
    package var notes: [String] { fit.notes.map { "\(adapter.path): \($0)" } }

    /// Embeddings, which no checkpoint has a place for.
    var embeddings: [String] { adapter.embeddings.map { "\(adapter.path): \($0): an embedding" } }
  }

  /// What a stack may do without, if it is told.
  public struct Allowance: OptionSet, Sendable {
    /// The bits of the set; `OptionSet` asks for them.
    public let rawValue: Int
    /// A set of the bits below; others mean nothing.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Tensors that no known trainer writes.
    public static let unknownTensors = Allowance(rawValue: 1)
    /// Targets that the base has no place for, or whose algorithm cannot be applied.
    public static let unmatchedTargets = Allowance(rawValue: 2)
  }

  /// The checkpoint below the adapters.
  public let base: Checkpoint
  /// In the order in which they are applied, which counts for changes that depend on a weight.
  public let layers: [Layer]
  /// How strengths enter changes that depend on a weight.
  public let rule: StrengthRule
  /// The base with everything added that fits.
  public let weights: AdaptedWeights

  /// Matches adapters with a base.
  ///
  /// - Parameters:
  ///   - adapters: in the order in which they are applied, which counts for changes that depend on a weight.
  ///   - allowing: what a single adapter may hold beside what can be used. Targets without a place in the base are no error here.
  /// - Throws: `AdapterError` for an adapter that cannot be used, `FactoringError` for block weights that its family has not,
  ///   `CheckpointError` for a base weight whose numbers are needed and cannot be read.
  public init(
    _ adapters: [(adapter: Adapter, input: AdapterInput)], on base: Checkpoint, rule: StrengthRule = .linear,
    allowing: Allowance = []
  ) throws {
    for (adapter, _) in adapters {
      try adapter.requireWorkable(
        allowingUnknown: allowing.contains(.unknownTensors), allowingUnsupported: allowing.contains(.unmatchedTargets),
        allowingDependents: true)
    }
    for (adapter, input) in adapters { try input.blocks?.check(for: adapter, on: base.family) }
    self.init(
      base, try adapters.map { Layer(fit: try AdapterFit($0.adapter, on: base), input: $0.input) }, rule: rule)
  }

  /// Matches adapters, each at a strength, with a base.
  public init(_ adapters: [(adapter: Adapter, strength: Double)], on base: Checkpoint) throws {
    try self.init(
      adapters.map { ($0.adapter, AdapterInput(path: $0.adapter.path, strength: $0.strength)) }, on: base)
  }

  private init(_ base: Checkpoint, _ layers: [Layer], rule: StrengthRule) {
    (self.base, self.layers, self.rule) = (base, layers, rule)
    weights = AdaptedWeights(base: base, adapters: layers.map { ($0.fit, $0.input) }, rule: rule)
  }

  /// The same adapters at other strengths: all, some of them, or one more than once.
  package func using(_ uses: [(layer: Int, input: AdapterInput)]) -> Stack {
    Stack(base, uses.map { Layer(fit: layers[$0.layer].fit, input: $0.input) }, rule: rule)
  }

  /// The same with all strengths multiplied.
  package func scaled(by factor: Double) -> Stack {
    using(layers.enumerated().map { ($0, $1.input.scaled(by: factor)) })
  }

  /// How many targets have an effect.
  public var targetCount: Int { layers.reduce(0) { $0 + $1.targetCount } }

  /// What is left out, in sentences.
  ///
  /// - Parameter allowsMisfits: whether targets without a place in the base may be left out.
  /// - Throws: `BakingError` for the first of them that may not.
  package func leftOut(allowingMisfits allowsMisfits: Bool) throws(BakingError) -> [String] {
    var leftOut: [String] = []
    for layer in layers {
      let path = layer.adapter.path, misfits = layer.misfits
      if !allowsMisfits, let first = misfits.first {
        if let sentence = layer.fit.familyMismatch { throw BakingError(.wrongFamily(sentence: sentence), path: path) }
        throw BakingError(
          .doesNotFit(target: first.target, finding: first.finding, others: misfits.count - 1), path: path)
      }
      // No checkpoint has a place for new words, so leaving them out is no choice of anybody's.
      leftOut += misfits.map { "\(path): \($0.target): \($0.finding)" } + layer.embeddings
    }
    return leftOut + layers.flatMap { layer in layer.adapter.unknown.map { "\(layer.adapter.path): \($0)" } }
  }
}
