public import Models
public import Tensors

/// One base weight that an adapter changes in a way that depends on the weight: its delta can be computed only with the base.
public struct DependentTarget: Sendable {
  /// As the file spells it.
  public let name: String
  /// The target under any dialect, by which the base's weight is found.
  public let key: TargetKey
  /// How the change follows from the weight.
  public let algorithm: Algorithm
  /// The tensors of the file that the change is made of, with what they are called in messages.
  public let stored: [(label: String, tensor: Tensor)]
  /// The alpha that the file or a configuration has for it; `nil` when there is none.
  public let alpha: Double?
  /// The rank as the algorithm counts it, where it has one.
  public let rank: Int?
  let change: any WeightChange
  /// Whether the adapter says that the base weight is stored (in, out).
  let isTransposed: Bool
  /// Whether the base may do without the weight: a bias that exists only in some models.
  public let isOptional: Bool
  /// Columns of the delta seen as a matrix, where the shapes tell; for recognising the family.
  let inputs: Int
  /// What the weight may be called instead of the key, where the file does not say which of them it is.
  let alternatives: [TargetKey]
  /// The weight that the change reads beside the one that it changes: a bias' may depend on that of its layer.
  let reads: TargetKey?

  init(
    name: String, key: TargetKey, algorithm: Algorithm, stored: [(label: String, tensor: Tensor)], alpha: Double?,
    rank: Int?, change: any WeightChange, isTransposed: Bool, isOptional: Bool, inputs: Int,
    alternatives: [TargetKey] = [], reads: TargetKey? = nil
  ) {
    (self.name, self.key, self.algorithm, self.stored) = (name, key, algorithm, stored)
    (self.alpha, self.rank, self.change, self.isTransposed) = (alpha, rank, change, isTransposed)
    (self.isOptional, self.inputs, self.alternatives, self.reads) = (isOptional, inputs, alternatives, reads)
  }

  /// A target with a delta of its own, as one that changes `weight` instead of what the base has in its place.
  init?(_ target: Target, rebasedOn weight: Tensor) {
    guard target.kind != .vector else { return nil }
    self.init(
      name: target.name, key: target.key, algorithm: target.algorithm, stored: target.stored, alpha: target.alpha,
      rank: target.storedRank, change: RebasedChange(replacement: weight, change: .plain(target)),
      isTransposed: target.isTransposed, isOptional: false, inputs: target.inputs)
  }

  /// The target changing `weight` instead of what the base has in its place.
  func rebased(on weight: Tensor) -> DependentTarget {
    DependentTarget(
      name: name, key: key, algorithm: algorithm, stored: stored, alpha: alpha, rank: rank,
      change: RebasedChange(replacement: weight, change: .dependent(change)), isTransposed: isTransposed,
      isOptional: isOptional, inputs: inputs, alternatives: alternatives, reads: reads)
  }

  /// The widest number format among the stored tensors.
  public var dtype: DType { stored.map(\.tensor.dtype).max { $0.canonicalRank < $1.canonicalRank }! }
  /// Numbers in the stored tensors, all together.
  public var parameterCount: Int { stored.reduce(0) { $0 + $1.tensor.elementCount } }
  /// Bytes of the stored tensors, all together.
  public var byteCount: Int { stored.reduce(0) { $0 + $1.tensor.bytes.count } }

  /// The target with its delta, for one base weight.
  ///
  /// - Parameters:
  ///   - key: of the weight.
  ///   - weight: rows × inputs × kernel, of a size that the change has nothing to say about; a vector as rows × 1.
  ///   - shape: the weight's own, as the base has it.
  ///   - strength: what the target's delta will be multiplied by. Only some rules depend on it.
  func target(
    _ key: TargetKey, _ change: any WeightChange, of weight: ComposedFactors.Block, shape: Shape, isTransposed: Bool,
    strength: Double,
    rule: StrengthRule
  ) -> Target {
    let factors = change.delta(of: weight, strength: strength, rule: rule)
    let isVector = shape.rank == 1
    return Target(
      name: name, key: key, kind: isVector ? .vector : factors.down.shape.rank > 2 ? .conv : .linear, up: factors.up,
      down: factors.down, mid: nil, whole: factors.whole,
      names: .init(up: name + ".lora_up.weight", down: name + ".lora_down.weight", alpha: name + ".alpha"),
      alpha: alpha,
      scale: 1, isTransposed: isTransposed, algorithm: algorithm, storedRank: rank, stored: stored)
  }
}
