import Tensors

extension StoredAlgorithm {
  /// RoAd: pairs of outputs turned and stretched, weight and bias alike.
  ///
  /// Source: PEFT 0.21 (`tuners/road/layer.py`).
  static let road = StoredAlgorithm(algorithm: .road, type: "ROAD", tensors: ["road_theta", "road_alpha"]) {
    parts throws(TargetFault) in
    let theta = try parts.tensor("road_theta", axes: 1), alpha = try parts.tensor("road_alpha", axes: 1)
    let size = parts.number("group_size") ?? 64
    guard let variant = PairingChange.Variant(rawValue: parts.text("variant") ?? "road_1") else {
      throw TargetFault.shape("variant road_1, road_2 or road_4", parts.text("variant") ?? "none")
    }
    let rows = variant.rows(of: theta.elementCount)
    guard theta.elementCount == alpha.elementCount, size > 0, size % 2 == 0, rows > 0, rows % size == 0,
      variant.count(ofRows: rows) == theta.elementCount
    else {
      throw TargetFault.shape(
        "angles and lengths for groups of \(size) rows", "\(theta.shape) and \(alpha.shape)")
    }
    let change = PairingChange(theta: theta, alpha: alpha, variant: variant, size: size)
    return StoredChange(weight: .change(change), bias: .change(change), isBiasOptional: true)
  }
}
