/// Euler's method for the probability flow (Karras and others 2022, arXiv:2206.00364, algorithm 1 of order one), and its
/// ancestral form, which goes further down and adds noise to come back. Samples are x₀ + σ·ε.
struct Euler: StepRule {
  private let schedule: Schedule
  private let prediction: Prediction
  private let isAncestral: Bool

  init(_ schedule: Schedule, prediction: Prediction, isAncestral: Bool) {
    self.schedule = schedule
    self.prediction = prediction
    self.isAncestral = isAncestral
  }

  var timesteps: [Float] { schedule.timesteps }

  var initialNoiseScale: Float {
    let sigma = schedule.sigmas[0]
    return schedule.spacing == .leading ? (sigma * sigma + 1).squareRoot() : sigma
  }

  func inputScale(at index: Int) -> Float { Float(schedule.level(at: index).alpha) }

  /// Also at the last step, where its weight is 0: a later draw of the same source depends on it.
  func drawsNoise(at index: Int) -> Bool { isAncestral }

  func clean(at index: Int) -> PairWeights {
    let (alpha, sigma) = schedule.level(at: index)
    let weights = prediction.clean(alpha: alpha, sigma: sigma)
    return PairWeights(sample: weights.sample * alpha, output: weights.output)
  }

  func update(at index: Int, taken: Int) -> Update {
    let now = Double(schedule.sigmas[index])
    let next = Double(schedule.sigmas[index + 1])
    guard isAncestral else { return Update(sample: next / now, clean: 1 - next / now) }
    let up = (next * next * (now * now - next * next)).squareRoot() / now
    let down = (next * next - up * up).squareRoot()
    return Update(sample: down / now, clean: 1 - down / now, noise: up)
  }

  func noising(at index: Int) -> (image: Double, noise: Double) { (1, Double(schedule.sigmas[index])) }
}
