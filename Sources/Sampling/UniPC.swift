import Platform

/// UniPC of order two with B(h) = eʰ − 1, predicting x₀ (Zhao and others 2023, arXiv:2302.04867, algorithms 5 to 8). Each
/// output also corrects the step that led to it. The first and the last step are of order one.
struct UniPC: StepRule {
  private let schedule: Schedule
  private let prediction: Prediction

  init(_ schedule: Schedule, prediction: Prediction) {
    self.schedule = schedule
    self.prediction = prediction
  }

  var timesteps: [Float] { schedule.timesteps }
  var hasHistory: Bool { true }

  func clean(at index: Int) -> PairWeights {
    let (alpha, sigma) = schedule.level(at: index)
    return prediction.clean(alpha: alpha, sigma: sigma)
  }

  func update(at index: Int, taken: Int) -> Update {
    guard index + 1 < timesteps.count else { return Update(clean: 1) }
    let interval = Interval(schedule, from: index)
    var update = Update(sample: interval.decay, clean: interval.gain)
    if taken > 0 {
      // Half of the slope through the earlier x₀, as if it held over the whole step.
      let slope = interval.gain / 2 / interval.earlierPlace
      update.clean -= slope
      update.earlier += slope
    }
    return update
  }

  func correction(at index: Int, taken: Int) -> Correction? {
    guard taken > 0 else { return nil }
    let interval = Interval(schedule, from: index - 1)
    var correction = Correction(previous: interval.decay, earlier: interval.gain)
    var weight = 0.5
    if taken > 1 {
      let h = -interval.length
      let growth = expm1(h)
      let first = growth / h - 1
      let second = first / h - 0.5
      let (b1, b2) = (first / growth, 2 * second / growth)
      // ρ₁ + ρ₂ = b₁ and r·ρ₁ + ρ₂ = b₂.
      let slope = (b1 - b2) / (1 - interval.earlierPlace)
      weight = b1 - slope
      let share = interval.gain * slope / interval.earlierPlace
      correction.earlier -= share
      correction.earliest += share
    }
    correction.clean = interval.gain * weight
    correction.earlier -= interval.gain * weight
    return correction
  }

  func noising(at index: Int) -> (image: Double, noise: Double) {
    let (alpha, sigma) = schedule.level(at: index)
    return (alpha, sigma)
  }

  /// From one step to the next, in ln(α/σ).
  private struct Interval {
    let length: Double
    /// The weight of the sample.
    let decay: Double
    /// The weight of x₀.
    let gain: Double
    /// Where the step before this one began, in lengths of this one; negative.
    let earlierPlace: Double

    init(_ schedule: Schedule, from index: Int) {
      let now = schedule.level(at: index)
      let next = schedule.level(at: index + 1)
      let start = schedule.logRatio(at: index)
      length = schedule.logRatio(at: index + 1) - start
      decay = next.sigma / now.sigma
      gain = -next.alpha * expm1(-length)
      earlierPlace = index > 0 ? (schedule.logRatio(at: index - 1) - start) / length : -1
    }
  }
}
