import LinearAlgebra
import Tensors

extension StoredAlgorithm {
  /// TinyLoRA: ΔW = B·(Σ vᵢ·Pᵢ)·A, with one vector v for all targets.
  ///
  /// Where there are several vectors the file does not tell which of them belongs to which module.
  ///
  /// Source: PEFT 0.21 (`tuners/tinylora/layer.py`).
  static let tinylora = StoredAlgorithm(
    algorithm: .tinylora, type: "TINYLORA", tensors: ["tinylora_A", "tinylora_B", "tinylora_P"],
    shared: ["tinylora_v.0", "tinylora_v.1"]
  ) { parts throws(TargetFault) in
    guard parts.shared["tinylora_v.1"] == nil else {
      throw TargetFault.shape("one vector for all modules, as with weight_tying 1", "several, and not which is whose")
    }
    let (up, down) = try parts.pair(up: "tinylora_B", down: "tinylora_A")
    guard parts.tensors["tinylora_P"] != nil else {
      throw TargetFault.missing("tinylora_P, which PEFT saves unless save_projection is off")
    }
    let core = try parts.tensor("tinylora_P", axes: 3), vector = try parts.shared("tinylora_v.0", axes: 1)
    let (rows, rank, inputs) = (up.shape[0], down.shape[0], down.shape[1])
    guard core.shape == [vector.elementCount, rank, rank], up.shape.rank == 2, down.shape.rank == 2 else {
      throw TargetFault.shape("tinylora_P of [\(vector.elementCount), \(rank), \(rank)]", "\(core.shape)")
    }
    let factors = ComposedFactors(
      product: .init(rows: rows, inputs: rank) {
        let (weights, cores) = (vector.doubles(), core.doubles())
        var sum = [Double](repeating: 0, count: rank * rank)
        for (index, weight) in weights.enumerated() {
          for place in sum.indices { sum[place] += weight * cores[index * rank * rank + place] }
        }
        return reproducibleProduct(up.doubles(), sum, rows: rows, rank: rank, columns: rank)
      }, .init(down))
    return StoredChange(weight: .factors(factors), rank: rank, inputs: inputs)
  }
}
