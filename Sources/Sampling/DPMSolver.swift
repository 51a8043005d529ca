import Platform

/// DPM-Solver++(2M) with the midpoint rule (Lu and others 2022, arXiv:2211.01095, algorithm 2), and its stochastic form
/// (equation 18 there). The first and the last step are of order one.
struct DPMSolver: StepRule {
  private let schedule: Schedule
  private let prediction: Prediction
  private let isStochastic: Bool

  init(_ schedule: Schedule, prediction: Prediction, isStochastic: Bool) {
    self.schedule = schedule
    self.prediction = prediction
    self.isStochastic = isStochastic
  }

  var timesteps: [Float] { schedule.timesteps }
  var hasHistory: Bool { true }

  /// Also at the last step, where its weight is 0.
  func drawsNoise(at index: Int) -> Bool { isStochastic }

  func clean(at index: Int) -> PairWeights {
    let (alpha, sigma) = schedule.level(at: index)
    return prediction.clean(alpha: alpha, sigma: sigma)
  }

  func update(at index: Int, taken: Int) -> Update {
    // All noise goes at once: the sample becomes x₀.
    guard index + 1 < timesteps.count else { return Update(clean: 1) }
    let now = schedule.level(at: index)
    let next = schedule.level(at: index + 1)
    let step = schedule.logRatio(at: index + 1) - schedule.logRatio(at: index)
    let decay = isStochastic ? exp(-step) : 1
    let gain = -next.alpha * expm1(isStochastic ? -2 * step : -step)
    var update = Update(sample: next.sigma / now.sigma * decay, clean: gain)
    if taken > 0 {
      let ratio = (schedule.logRatio(at: index) - schedule.logRatio(at: index - 1)) / step
      update.clean += gain / (2 * ratio)
      update.earlier = -gain / (2 * ratio)
    }
    if isStochastic { update.noise = next.sigma * (-expm1(-2 * step)).squareRoot() }
    return update
  }

  func noising(at index: Int) -> (image: Double, noise: Double) {
    let (alpha, sigma) = schedule.level(at: index)
    return (alpha, sigma)
  }
}
