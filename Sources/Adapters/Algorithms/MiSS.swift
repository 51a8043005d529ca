extension StoredAlgorithm {
  /// MiSS: one block of numbers, laid side by side over all of the inputs.
  ///
  /// The file does not tell how many inputs there are, so that the delta needs the base's sizes.
  ///
  /// Source: PEFT 0.21 (`tuners/miss/layer.py`).
  static let miss = StoredAlgorithm(algorithm: .miss, type: "MISS", tensors: ["miss_block"]) {
    parts throws(TargetFault) in
    guard let block = parts.tensors["miss_block"] else { throw TargetFault.missing("miss_block") }
    if block.shape.rank == 3 {
      let change = try BlockAffineChange(blocks: block)
      return StoredChange(weight: .change(change), rank: block.shape[2])
    }
    let numbers = try parts.tensor("miss_block", axes: 2)
    return StoredChange(
      weight: .change(TiledChange(block: numbers, repeatsRows: parts.text("init_weights") == "mini")),
      rank: numbers.shape[0])
  }
}
