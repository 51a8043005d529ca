import Tensors

extension StoredAlgorithm {
  /// SHiRA: numbers for single elements of the weight, whose size the file does not tell.
  ///
  /// Source: PEFT 0.21 (`tuners/shira/layer.py`).
  static let shira = StoredAlgorithm(
    algorithm: .shira, type: "SHIRA", tensors: ["shira_weight", "shira_indices"]
  ) { parts throws(TargetFault) in
    let values = try parts.tensor("shira_weight", axes: 1), places = try parts.tensor("shira_indices", axes: 2)
    guard places.shape == [2, values.elementCount] else {
      throw TargetFault.shape("shira_indices of [2, \(values.elementCount)]", "\(places.shape)")
    }
    return StoredChange(weight: .change(try SparseChange(values: values, places: places)))
  }

  /// Super-tuning: the same with places counted through, and a LoRA beside it.
  ///
  /// Source: PEFT 0.21 (`tuners/supertuning/layer.py`).
  static let supertuning = StoredAlgorithm(
    algorithm: .supertuning, type: "SUPERTUNING",
    tensors: [
      "supertuning_values", "supertuning_indices", "supertuning_lora_A.weight", "supertuning_lora_B.weight",
    ]
  ) { parts throws(TargetFault) in
    let values = try parts.tensor("supertuning_values", axes: 1)
    guard parts.tensors["supertuning_indices"] != nil else {
      throw TargetFault.missing("supertuning_indices, which PEFT saves unless save_precomputed_indices is off")
    }
    let places = try parts.tensor("supertuning_indices", axes: 1)
    guard places.elementCount == values.elementCount else {
      throw TargetFault.shape("supertuning_indices of [\(values.elementCount)]", "\(places.shape)")
    }
    var change = try SparseChange(values: values, places: places), rank: Int?
    if parts.tensors["supertuning_lora_A.weight"] != nil || parts.tensors["supertuning_lora_B.weight"] != nil {
      let pair = try parts.pair(up: "supertuning_lora_B.weight", down: "supertuning_lora_A.weight")
      guard pair.up.shape.rank == 2, pair.down.shape.rank == 2 else {
        throw TargetFault.shape("a LoRA of matrices", "\(pair.up.shape) and \(pair.down.shape)")
      }
      rank = pair.up.shape[1]
      change.product = (pair.up, pair.down, (parts.alpha ?? 2 * Double(rank!)) / Double(rank!))
    }
    return StoredChange(
      weight: .change(change), rank: rank, alpha: rank == nil ? nil : parts.alpha,
      inputs: change.product?.down.shape[1] ?? 0)
  }
}
