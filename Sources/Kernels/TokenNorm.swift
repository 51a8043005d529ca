public import Tensors

/// A norm of each pixel's channels without a shift: x ÷ √(mean x² + ε) · gain (Zhang and Sennrich 2019), or the same of x
/// less its mean.
public struct TokenNorm: @unchecked Sendable {
  // Sendable: its memory is never written after this value exists.
  /// What is added to the mean square before the root is taken.
  public let epsilon: Float
  /// Whether the mean is subtracted first, as in a layer norm.
  public let isCentered: Bool
  /// One row for all samples, or one for each: samples × 1 × 1 × channels.
  let gains: FeatureMap

  /// A root mean square norm with the stored gain, which is copied to the pool's memory as f32.
  public init(gain: Tensor, epsilon: Float, pool: any MemoryPool) {
    self.init(gains: gain.floats(), samples: 1, epsilon: epsilon, pool: pool)
  }

  /// - Parameter gains: of the only sample, or of each, one after the other; as many for each as a map has channels.
  public init(gains: [Float], samples: Int, isCentered: Bool = false, epsilon: Float, pool: any MemoryPool) {
    precondition(samples > 0 && gains.count % samples == 0, "equally many gains for each sample")
    (self.epsilon, self.isCentered) = (epsilon, isCentered)
    self.gains = FeatureMap(
      gains, batch: samples, height: 1, width: 1, channels: gains.count / samples, pool: pool)
  }

  /// How many channels a map needs for this norm.
  public var channels: Int { gains.channels }

  /// Where the row for a sample begins, counted in numbers.
  func start(_ sample: Int) -> Int { gains.batch == 1 ? 0 : sample * gains.channels }

  func requireFit(_ x: FeatureMap) {
    precondition(x.channels == channels, "a norm of \(channels) channels was given \(x.channels)")
    precondition(gains.batch == 1 || gains.batch == x.batch, "a norm of \(gains.batch) samples was given \(x.batch)")
  }
}
