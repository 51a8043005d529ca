/// DDIM (Song, Meng and Ermon 2020, arXiv:2010.02502, equations 12 and 16).
struct DDIM: StepRule {
  private let schedule: Schedule
  private let prediction: Prediction
  private let eta: Double
  private let finalAlpha: Double

  init(_ schedule: Schedule, prediction: Prediction, eta: Double, setsAlphaToOne: Bool) {
    self.schedule = schedule
    self.prediction = prediction
    self.eta = eta
    finalAlpha = setsAlphaToOne ? 1 : Double(schedule.table.cumulativeAlphas[0])
  }

  var timesteps: [Float] { schedule.timesteps }

  func drawsNoise(at index: Int) -> Bool { eta > 0 }

  func clean(at index: Int) -> PairWeights {
    let cumulative = schedule.cumulativeAlpha(at: index)
    return prediction.clean(alpha: cumulative.squareRoot(), sigma: (1 - cumulative).squareRoot())
  }

  func update(at index: Int, taken: Int) -> Update {
    let now = schedule.cumulativeAlpha(at: index)
    // A whole step back, even where the next timestep of the schedule is another one.
    let target = Int(timesteps[index]) - schedule.table.count / timesteps.count
    let next = target >= 0 ? Double(schedule.table.cumulativeAlphas[target]) : finalAlpha
    let variance = (1 - next) / (1 - now) * (1 - now / next)
    let fresh = eta * max(variance, 0).squareRoot()
    let kept = max(1 - next - fresh * fresh, 0).squareRoot()
    let noise = prediction.noise(alpha: now.squareRoot(), sigma: (1 - now).squareRoot())
    return Update(
      sample: kept * noise.sample, output: kept * noise.output, clean: next.squareRoot(), noise: fresh)
  }

  func noising(at index: Int) -> (image: Double, noise: Double) {
    let cumulative = schedule.cumulativeAlpha(at: index)
    return (cumulative.squareRoot(), (1 - cumulative).squareRoot())
  }
}
