import Platform

/// The timesteps of a run and the noise levels that go with them.
struct Schedule: Sendable {
  let table: NoiseTable
  /// Descending.
  let timesteps: [Float]
  /// σ before each step, and 0 after the last. Unused by DDIM, LCM and TCD, which look ā up.
  let sigmas: [Float]
  let spacing: Spacing

  init(
    _ kind: SamplerKind, settings: SchedulerSettings, table: NoiseTable, steps: Int
  ) throws(SamplingError) {
    self.table = table
    let spacing = settings.spacing ?? kind.defaultSpacing
    self.spacing = spacing
    if kind.isConsistencyModel {
      timesteps = Self.consistencyTimesteps(steps: steps, original: settings.originalSteps, count: table.count)
      sigmas = []
      return
    }
    let pastEnd = kind != .ddim && kind != .euler && kind != .eulerAncestral
    let isWhole = pastEnd || kind == .ddim
    let spaced = spacing.timesteps(steps: steps, count: table.count, offset: settings.stepsOffset, pastEnd: pastEnd)
      .map { Float(isWhole ? $0.rounded(.toNearestOrEven) : $0) }
    let levels = spaced.map { table.sigma(at: Double($0)) }
    if settings.usesKarrasSigmas(for: kind) {
      // Euler's levels run between those of the spaced timesteps, the solvers' over the whole table.
      let largest = pastEnd ? Double(table.sigmas[table.count - 1]) : levels[0]
      let smallest = pastEnd ? Double(table.sigmas[0]) : levels[steps - 1]
      let karras = Self.karras(from: largest, to: smallest, steps: steps)
      timesteps = karras.map {
        let timestep = table.timestep(ofSigma: $0)
        return Float(isWhole ? timestep.rounded(.toNearestOrEven) : timestep)
      }
      sigmas = karras.map { Float($0) } + [0]
    } else {
      timesteps = spaced
      sigmas = levels.map { Float($0) } + [0]
      guard spaced[0] <= Float(table.count - 1), spaced[steps - 1] >= 0,
        zip(spaced, spaced.dropFirst()).allSatisfy(>)
      else {
        throw SamplingError(.timesteps(sampler: kind, spacing: spacing, count: table.count, steps: steps))
      }
    }
  }

  /// Noise levels whose seventh roots are spaced evenly (Karras and others 2022, arXiv:2206.00364, equation 5).
  static func karras(from largest: Double, to smallest: Double, steps: Int) -> [Double] {
    let exponent = 7.0
    let (first, last) = (pow(largest, 1 / exponent), pow(smallest, 1 / exponent))
    return (0..<steps).map { index in
      let share = steps == 1 ? 0 : Double(index) / Double(steps - 1)
      return pow(first + share * (last - first), exponent)
    }
  }

  /// Evenly among the `original` timesteps that the network was distilled with, from the last one down.
  static func consistencyTimesteps(steps: Int, original: Int, count: Int) -> [Float] {
    let stride = count / original
    return (0..<steps).map { index in
      let place = Int(Double(index) * (Double(original) / Double(steps)))
      return Float((original - place) * stride - 1)
    }
  }

  /// ā before step `index`, where timesteps are whole.
  func cumulativeAlpha(at index: Int) -> Double { Double(table.cumulativeAlphas[Int(timesteps[index])]) }

  /// α and σ·α of a sample whose variance is kept at 1, before step `index`.
  func level(at index: Int) -> (alpha: Double, sigma: Double) {
    let sigma = Double(sigmas[index])
    let alpha = 1 / (sigma * sigma + 1).squareRoot()
    return (alpha, sigma * alpha)
  }

  /// ln(α/σ) before step `index`: half the logarithm of the ratio of signal to noise. ∞ after the last step.
  func logRatio(at index: Int) -> Double { -log(Double(sigmas[index])) }
}
