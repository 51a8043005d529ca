/// Sampling of trajectory consistency models (Zheng and others 2024, arXiv:2402.19159, "strategic stochastic sampling"):
/// go back to a timestep below the next, then add noise up to the next.
struct TrajectoryConsistency: StepRule {
  private let schedule: Schedule
  private let prediction: Prediction
  private let eta: Double

  init(_ schedule: Schedule, prediction: Prediction, eta: Double) {
    self.schedule = schedule
    self.prediction = prediction
    self.eta = eta
  }

  var timesteps: [Float] { schedule.timesteps }

  func drawsNoise(at index: Int) -> Bool { eta > 0 && index + 1 < timesteps.count }

  func clean(at index: Int) -> PairWeights {
    let cumulative = schedule.cumulativeAlpha(at: index)
    return prediction.clean(alpha: cumulative.squareRoot(), sigma: (1 - cumulative).squareRoot())
  }

  func update(at index: Int, taken: Int) -> Update {
    let now = schedule.cumulativeAlpha(at: index)
    let isLast = index + 1 == timesteps.count
    let next = isLast ? 0 : timesteps[index + 1]
    let target = Double(schedule.table.cumulativeAlphas[Int((Float(1 - eta) * next).rounded(.down))])
    let noise = prediction.noise(alpha: now.squareRoot(), sigma: (1 - now).squareRoot())
    let kept = (1 - target).squareRoot()
    var update = Update(sample: kept * noise.sample, output: kept * noise.output, clean: target.squareRoot())
    guard drawsNoise(at: index) else { return update }
    let ratio = schedule.cumulativeAlpha(at: index + 1) / target
    let alpha = ratio.squareRoot()
    update.sample *= alpha
    update.output *= alpha
    update.clean *= alpha
    update.noise = (1 - ratio).squareRoot()
    return update
  }

  func noising(at index: Int) -> (image: Double, noise: Double) {
    let cumulative = schedule.cumulativeAlpha(at: index)
    return (cumulative.squareRoot(), (1 - cumulative).squareRoot())
  }
}
