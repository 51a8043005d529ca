import Tensors

extension StoredAlgorithm {
  /// HiRA: the weight's numbers multiplied by those of a matrix of low rank: ΔW = W ⊙ (B·A).
  ///
  /// Source: PEFT 0.21 (`tuners/hira/layer.py`).
  static let hira = StoredAlgorithm(
    algorithm: .hira, type: "HIRA", tensors: ["hira_A", "hira_B", "hira_embedding_A", "hira_embedding_B"]
  ) { parts throws(TargetFault) in
    // Of a table of words the product is transposed.
    let isOfTable = parts.tensors["hira_embedding_A"] != nil || parts.tensors["hira_embedding_B"] != nil
    let kind = isOfTable ? "hira_embedding" : "hira"
    let (up, down) = try parts.pair(up: "\(kind)_B", down: "\(kind)_A")
    return StoredChange(
      weight: .change(HadamardChange(up: up, down: down, isOfTable: isOfTable)), rank: up.shape[1],
      inputs: isOfTable ? 0 : down.shape[1])
  }
}
