import Tensors

extension StoredAlgorithm {
  /// A LoRA of queries or keys whose rows are in llama.cpp's order, which depends on how many heads the model has.
  ///
  /// Source: llama.cpp (`conversion/llama.py`).
  static let rotaryLoRA = StoredAlgorithm(
    algorithm: .rotaryLoRA, type: "LORA", tensors: ["rotary.lora_A.weight", "rotary.lora_B.weight"]
  ) { parts throws(TargetFault) in
    let (up, down) = try parts.pair(up: "rotary.lora_B.weight", down: "rotary.lora_A.weight")
    guard up.shape.rank == 2, down.shape.rank == 2 else {
      throw TargetFault.shape("factors that are matrices", "\(up.shape) and \(down.shape)")
    }
    let rank = down.shape[0]
    return StoredChange(
      weight: .change(
        RotaryOrderChange(up: up, down: down, scale: parts.alpha.map { $0 / Double(rank) } ?? 1, path: parts.path)),
      rank: rank, alpha: parts.alpha, inputs: down.shape[1])
  }
}
