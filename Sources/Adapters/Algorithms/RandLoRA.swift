import Tensors

extension StoredAlgorithm {
  /// RandLoRA: random bases that all targets share, weighed by learned numbers.
  ///
  /// Source: PEFT 0.21 (`tuners/randlora/layer.py`).
  static let randlora = StoredAlgorithm(
    algorithm: .randlora, type: "RANDLORA", tensors: ["randlora_lambda", "randlora_gamma"],
    shared: ["randlora_A", "randlora_B"]
  ) { parts throws(TargetFault) in
    let lambda = try parts.tensor("randlora_lambda", axes: 2), gamma = try parts.tensor("randlora_gamma", axes: 2)
    let a = try parts.shared("randlora_A", axes: 3), b = try parts.shared("randlora_B", axes: 3)
    let (rank, bases) = (lambda.shape[0], lambda.shape[1])
    guard gamma.shape[0] == bases, a.shape[0] == rank, a.shape[1] == 1 || a.shape[1] >= bases,
      a.shape[2] >= gamma.shape[1], b.shape[1] >= bases, b.shape[2] == rank
    else {
      throw TargetFault.shape("bases of rank \(rank) for \(lambda.shape)", "\(a.shape), \(b.shape), \(gamma.shape)")
    }
    let alpha = parts.settings?.fields["randlora_alpha"]?.double
    return StoredChange(
      weight: .change(
        RandomBasesChange(lambda: lambda, gamma: gamma, short: a, long: b, scale: (alpha ?? 640) / Double(rank))),
      rank: rank, alpha: alpha)
  }
}
