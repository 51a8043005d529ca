import Tensors

extension StoredAlgorithm {
  /// PVeRA: VeRA whose directions are drawn at training. At rest they have their means, which are the first half of the numbers.
  ///
  /// Source: PEFT 0.21 (`tuners/pvera/layer.py`).
  static let pvera = StoredAlgorithm(
    algorithm: .pvera, type: "PVERA", tensors: ["pvera_lambda_b", "pvera_lambda_d"], shared: ["pvera_A", "pvera_B"]
  ) { parts throws(TargetFault) in
    let b = try parts.tensor("pvera_lambda_b", axes: 1), d = try parts.tensor("pvera_lambda_d", axes: 1)
    let down = try parts.shared("pvera_A", axes: 2), up = try parts.shared("pvera_B", axes: 2)
    let rank = d.elementCount / 2
    guard d.elementCount == 2 * rank, rank > 0, down.shape[0] == 2 * rank, up.shape[1] == rank,
      up.shape[0] >= b.elementCount
    else {
      throw TargetFault.shape("projections of rank \(rank)", "\(up.shape) and \(down.shape)")
    }
    return StoredChange(
      weight: .change(SharedProjectionChange(down: down, up: up, rankFactors: d, rowFactors: b)), rank: rank)
  }
}
