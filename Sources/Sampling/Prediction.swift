/// What the network's output means. With x = α·x₀ + σ·ε and α² + σ² = 1:
public enum Prediction: String, CaseIterable, Codable, Sendable {
  /// The noise ε.
  case epsilon
  /// The velocity α·ε − σ·x₀ (Salimans and Ho 2022, arXiv:2202.00512).
  case velocity = "v_prediction"
  /// The clean latent x₀.
  case sample

  /// x₀ as a weighted sum of x and the output.
  func clean(alpha: Double, sigma: Double) -> PairWeights {
    switch self {
    case .epsilon: PairWeights(sample: 1 / alpha, output: -sigma / alpha)
    case .velocity: PairWeights(sample: alpha, output: -sigma)
    case .sample: PairWeights(sample: 0, output: 1)
    }
  }

  /// ε as a weighted sum of x and the output.
  func noise(alpha: Double, sigma: Double) -> PairWeights {
    switch self {
    case .epsilon: PairWeights(sample: 0, output: 1)
    case .velocity: PairWeights(sample: sigma, output: alpha)
    case .sample: PairWeights(sample: 1 / sigma, output: -alpha / sigma)
    }
  }
}

/// What a sample and the network's output for it are multiplied by in a sum.
struct PairWeights: Equatable, Sendable {
  var sample: Double
  var output: Double
}
