import Tensors

extension StoredAlgorithm {
  /// DeLoRA: components of one length, over inputs weighed by the lengths of the base's columns at training.
  ///
  /// ΔW = B·diag(λ ∕ (r·‖aᵢ‖·‖bᵢ‖))·A·diag(w). Lengths are taken as 1e-4 at least.
  ///
  /// Source: PEFT 0.21 (`tuners/delora/layer.py`).
  static let delora = StoredAlgorithm(
    algorithm: .delora, type: "DELORA", tensors: ["delora_A", "delora_B", "delora_lambda", "delora_w_norm"]
  ) { parts throws(TargetFault) in
    let (up, down) = try parts.pair(up: "delora_B", down: "delora_A")
    guard let limit = parts.tensors["delora_lambda"] else { throw TargetFault.missing("delora_lambda") }
    guard let lengths = parts.tensors["delora_w_norm"] else { throw TargetFault.missing("delora_w_norm") }
    let (rows, rank, inputs) = (up.shape[0], down.shape[0], down.shape[1])
    guard up.shape.rank == 2, down.shape.rank == 2, limit.elementCount == 1, lengths.elementCount == inputs else {
      throw TargetFault.shape(
        "one delora_lambda and \(inputs) numbers in delora_w_norm", "\(limit.shape) and \(lengths.shape)")
    }
    let factors = ComposedFactors(
      product: .init(rows: rows, inputs: rank) {
        let (b, a, bound) = (up.doubles(), down.doubles(), limit.doubles()[0])
        let scales = (0..<rank).map { component in
          let own = (0..<inputs).reduce(0) { $0 + a[component * inputs + $1] * a[component * inputs + $1] }
          let other = (0..<rows).reduce(0) { $0 + b[$1 * rank + component] * b[$1 * rank + component] }
          return bound / Double(rank) / (max(own.squareRoot(), 1e-4) * max(other.squareRoot(), 1e-4))
        }
        return b.indices.map { b[$0] * scales[$0 % rank] }
      },
      .init(rows: rank, inputs: inputs) {
        let (a, weights) = (down.doubles(), lengths.doubles())
        return a.indices.map { a[$0] * weights[$0 % inputs] }
      })
    return StoredChange(weight: .factors(factors), rank: rank, inputs: inputs)
  }
}
