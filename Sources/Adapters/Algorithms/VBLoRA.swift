import Platform
import Tensors

extension StoredAlgorithm {
  /// VB-LoRA: factors put together of pieces, each a mixture of the few vectors of a common bank that it likes best.
  ///
  /// Source: PEFT 0.21 (`tuners/vblora/layer.py`, `model.py`).
  static let vblora = StoredAlgorithm(
    algorithm: .vblora, type: "VBLORA",
    tensors: ["vblora_logits_A", "vblora_logits_B"].flatMap { [$0, $0 + "_topk_indices", $0 + "_topk_weights"] },
    shared: ["vblora_vector_bank"]
  ) { parts throws(TargetFault) in
    let bank = try parts.shared("vblora_vector_bank", axes: 2), length = bank.shape[1]
    let a = try VectorMixture("vblora_logits_A", parts, bank: bank)
    let b = try VectorMixture("vblora_logits_B", parts, bank: bank)
    guard a.extents.0 == b.extents.1 else {
      throw TargetFault.shape("equal ranks of both factors", "\(a.extents) and \(b.extents)")
    }
    let (rank, inputs, rows) = (a.extents.0, a.extents.1 * length, b.extents.0 * length)
    guard FactorShapes.isPossible([rows, rank]), FactorShapes.isPossible([rank, inputs]) else {
      throw TargetFault.shape("a weight of at most \(FactorShapes.mostElements) elements", "\(rows) × \(inputs)")
    }
    let factors = ComposedFactors(
      product: .init(rows: rows, inputs: rank) {
        // Pieces stand in the columns.
        let pieces = b.values()
        return (0..<rows * rank).map { place in
          let (row, component) = (place / rank, place % rank)
          return pieces[(row / length * rank + component) * length + row % length]
        }
      }, .init(rows: rank, inputs: inputs) { a.values() })
    return StoredChange(weight: .factors(factors), rank: rank, inputs: inputs)
  }
}

/// Pieces of a factor of VB-LoRA.
private struct VectorMixture: Sendable {
  let bank: Tensor
  /// Numbers that say how much each vector of the bank is liked; or which are liked most, and how much, but for the last.
  let logits: Tensor?
  let chosen: (indices: Tensor, weights: Tensor)?
  let most: Int
  let extents: (Int, Int)

  init(_ name: String, _ parts: AlgorithmParts, bank: Tensor) throws(TargetFault) {
    self.bank = bank
    if parts.tensors[name] != nil {
      let logits = try parts.tensor(name, axes: 3)
      most = parts.number("topk") ?? 2
      guard logits.shape[2] == bank.shape[0], most > 0, most <= bank.shape[0] else {
        throw TargetFault.shape("\(name) for \(bank.shape[0]) vectors", "\(logits.shape), topk \(most)")
      }
      (self.logits, chosen, extents) = (logits, nil, (logits.shape[0], logits.shape[1]))
      return
    }
    let indices = try parts.tensor(name + "_topk_indices", axes: 3)
    guard let weights = parts.tensors[name + "_topk_weights"] else { throw TargetFault.missing(name + "_topk_weights") }
    most = indices.shape[2]
    let count = bank.shape[0]
    guard weights.shape == [indices.shape[0], indices.shape[1], most - 1],
      indices.doubles().allSatisfy({ $0 >= 0 && $0 < Double(count) && $0 == $0.rounded() })
    else {
      throw TargetFault.shape(
        "\(name) of \(bank.shape[0]) vectors, one weight fewer than indices", "\(indices.shape) and \(weights.shape)")
    }
    (logits, chosen, extents) = (nil, (indices, weights), (indices.shape[0], indices.shape[1]))
  }

  /// Piece after piece.
  func values() -> [Double] {
    let vectors = bank.doubles(), length = bank.shape[1]
    var result: [Double] = []
    result.reserveCapacity(extents.0 * extents.1 * length)
    for shares in shares() {
      for j in 0..<length { result.append(shares.reduce(0) { $0 + $1.share * vectors[$1.vector * length + j] }) }
    }
    return result
  }

  private func shares() -> [[(vector: Int, share: Double)]] {
    if let logits {
      let values = logits.doubles(), count = bank.shape[0]
      return (0..<extents.0 * extents.1).map { piece in
        let own = Array(values[piece * count..<(piece + 1) * count])
        let best = own.indices.sorted { own[$0] > own[$1] || (own[$0] == own[$1] && $0 < $1) }.prefix(most)
        let weights = best.map { exp(own[$0] - own[best[0]]) }, sum = weights.reduce(0, +)
        return zip(best, weights).map { ($0, $1 / sum) }
      }
    }
    let indices = chosen!.indices.doubles(), weights = chosen!.weights.doubles()
    return (0..<extents.0 * extents.1).map { piece in
      var own = Array(weights[piece * (most - 1)..<(piece + 1) * (most - 1)])
      own.append(1 - own.reduce(0, +))
      return own.indices.map { (Int(indices[piece * most + $0]), own[$0]) }
    }
  }
}
