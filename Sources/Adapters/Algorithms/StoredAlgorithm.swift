import Tensors

/// One way of storing a change besides LoRA: what its tensors are called, and what comes of them.
///
/// All that is particular to an algorithm stands in its file of this folder; `all` lists them.
struct StoredAlgorithm: Sendable {
  let algorithm: Algorithm
  /// What PEFT calls it in `peft_type`.
  let type: String
  /// Endings of the names of a module's tensors.
  let tensors: [String]
  /// Endings of the names of tensors that all modules share.
  var shared: [String] = []
  /// What the tensors of one module are.
  let read: @Sendable (AlgorithmParts) throws(TargetFault) -> StoredChange

  static let all: [StoredAlgorithm] = [
    .miss, .delora, .gralora, .glora, .hira, .road, .shira, .supertuning, .c3a, .randlora, .vblora,
    .pvera, .tinylora, .beft, .rotaryLoRA,
  ]

  static let byAlgorithm = Dictionary(all.map { ($0.algorithm, $0) }, uniquingKeysWith: { first, _ in first })
}

/// What the tensors of a module make: a change of its weight, of its bias, or of both.
struct StoredChange {
  enum Delta {
    /// Known without the base.
    case factors(ComposedFactors)
    case change(any WeightChange)
    /// Added to a bias.
    case vector(Tensor)
  }

  var weight: Delta?
  var bias: Delta?
  var rank: Int?
  var alpha: Double?
  var scale = 1.0
  /// Columns of the weight, where the tensors tell.
  var inputs = 0
  /// Whether the change of the bias depends on the weight too.
  var biasReadsWeight = false
  /// Whether a layer without a bias is all right.
  var isBiasOptional = false
}
