import Tensors

/// A tensor of a module, with what it is there.
struct TargetPart {
  let role: Role
  /// What the tensor is called in its module.
  let label: String
  /// In the file.
  let name: String
  let tensor: Tensor
}

extension TargetPart {
  var algorithm: Algorithm? { if case .other(let algorithm) = role { algorithm } else { nil } }

  /// Whether it is beside what changes a weight by an algorithm: something for a bias or a norm, or a value to put in place.
  var isCompanion: Bool {
    switch algorithm {
    case .bias, .norm: true
    case .full: label != "diff" || tensor.shape.rank < 2
    default: false
    }
  }
}

extension Algorithm {
  /// Those whose delta depends on the weight, or on its size.
  static let dependent: Set<Algorithm> = [.glora, .oft, .boft, .ia3, .tlora, .hra, .vera, .expertLora]

  /// Whether a configuration of this algorithm may stand beside tensors of another.
  func hasTensors(of other: Algorithm) -> Bool {
    self == other
      || ([.lora, .expertLora].contains(self)
        && [.lora, .embedding, .expertLora, .kasa, .bdlora, .rotaryLoRA].contains(other))
  }

  /// Whether no delta can be computed.
  var isOnlyRecognised: Bool {
    [.sparseBias, .controlLora, .tokenAdapter, .reshape, .attentionOutput].contains(self)
      || RefusedAlgorithm.all.contains { $0.algorithm == self }
  }
}

extension [TargetPart] {
  /// Whether the weight's factors are matrices of rank 0: of AdaLoRA's targets some end so.
  var isPruned: Bool {
    func shape(_ role: Role, _ label: String) -> Shape? { first { $0.role == role || $0.label == label }?.tensor.shape }
    guard let up = shape(.up, "lora_embedding_B"), let down = shape(.down, "lora_embedding_A"), up.rank == down.rank,
      (2...5).contains(up.rank), up[1] == 0, down[0] == 0
    else { return false }
    return allSatisfy { part in
      switch part.role {
      case .up, .down, .alpha, .scale, .other(.embedding): true
      // AdaLoRA's and KaSA's weights of components; DoRA's lengths, for one, are a change even without factors.
      case .other(.adalora), .other(.kasa): part.tensor.elementCount == 0 || part.label == "ranknum"
      default: false
      }
    }
  }

  var tensors: [String: Tensor] {
    Dictionary(map { ($0.label, $0.tensor) }, uniquingKeysWith: { first, _ in first })
  }

  /// The algorithm of the weight's change, what lies on top of it aside.
  ///
  /// - Parameter configured: what the configuration says of LoRA's own tensor names.
  func mainAlgorithm(_ configured: Algorithm?) -> Algorithm {
    let found = Set(compactMap(\.algorithm)).subtracting([.dora])
    if found == [.oft] {
      // Butterfly blocks have one axis more; a convolution's `rescale` has four axes too, and tells nothing.
      return contains { $0.label == "oft_blocks" && $0.tensor.shape.rank == 4 } ? .boft : .oft
    }
    if let algorithm = found.min(by: { $0.rawValue < $1.rawValue }) { return algorithm }
    return configured == .expertLora ? .expertLora : .lora
  }

  /// Input channels of a linear target, by the shapes of its tensors; 0 where they do not tell.
  var inputs: Int {
    func columns(_ labels: String...) -> Int? {
      first { part in labels.contains(part.label) && part.tensor.shape.rank == 2 }?.tensor.shape[1]
    }
    if let outer = columns("lokr_w1", "lokr_w1_b"), let inner = columns("lokr_w2", "lokr_w2_b") { return outer * inner }
    return columns("hada_w1_b", "lora_down.weight", "lora_A.weight", "diff", "b2.weight", "q_layer.weight") ?? 0
  }
}
