/// Sampling of latent consistency models (Luo and others 2023, arXiv:2310.04378, algorithm 3): jump to x₀, add noise again.
struct LatentConsistency: StepRule {
  /// The deviation of the data that the boundary condition is made for.
  private static let dataDeviation = 0.5

  private let schedule: Schedule
  private let prediction: Prediction
  private let timestepScaling: Double

  init(_ schedule: Schedule, prediction: Prediction, timestepScaling: Double) {
    self.schedule = schedule
    self.prediction = prediction
    self.timestepScaling = timestepScaling
  }

  var timesteps: [Float] { schedule.timesteps }

  func drawsNoise(at index: Int) -> Bool { index + 1 < timesteps.count }

  func clean(at index: Int) -> PairWeights {
    let cumulative = schedule.cumulativeAlpha(at: index)
    return prediction.clean(alpha: cumulative.squareRoot(), sigma: (1 - cumulative).squareRoot())
  }

  func update(at index: Int, taken: Int) -> Update {
    let time = Double(timesteps[index]) * timestepScaling
    let variance = Self.dataDeviation * Self.dataDeviation
    let skip = variance / (time * time + variance)
    let out = time / (time * time + variance).squareRoot()
    guard index + 1 < timesteps.count else { return Update(sample: skip, clean: out) }
    let next = schedule.cumulativeAlpha(at: index + 1)
    let alpha = next.squareRoot()
    return Update(sample: alpha * skip, clean: alpha * out, noise: (1 - next).squareRoot())
  }

  func noising(at index: Int) -> (image: Double, noise: Double) {
    let cumulative = schedule.cumulativeAlpha(at: index)
    return (cumulative.squareRoot(), (1 - cumulative).squareRoot())
  }
}
