import Platform

/// How much of the image is left at each timestep that the network was trained with.
///
/// Every value has the bits that torch gives on a processor, where its square roots are rounded to nearest (with MKL, one
/// in five is not): betas are rounded to single precision, the product runs in double precision and is rounded at each
/// timestep.
public struct NoiseTable: Equatable, Sendable {
  /// How betas run from the first to the last.
  public enum BetaSchedule: String, CaseIterable, Codable, Sendable {
    case linear
    /// Their square roots are linear.
    case scaledLinear = "scaled_linear"
  }

  /// β of each timestep.
  public let betas: [Float]

  /// ā = Π(1 − β): the squared weight of the image. Exactly 0 at the end of a table with zero terminal signal.
  public let cumulativeAlphas: [Float]

  /// Whether the last timestep is noise alone.
  public let isZeroTerminal: Bool

  /// σ = √((1 − ā)/ā), ascending. Where ā ends in 0, it ends in 2⁻²⁴ here, as in diffusers: σ stays finite (4096 less a bit).
  public let sigmas: [Float]

  /// Timesteps of the table.
  public var count: Int { betas.count }

  /// - Throws: `SamplingError` unless there are 2 to 100000 timesteps and 0 < β₀ ≤ βₙ < 1.
  public init(
    betaStart: Double, betaEnd: Double, schedule: BetaSchedule, count: Int, rescaledToZeroTerminal: Bool = false
  ) throws(SamplingError) {
    guard (2...100_000).contains(count) else {
      throw SamplingError(.setting(name: "num_train_timesteps", expected: "2 to 100000", found: "\(count)"))
    }
    guard betaStart > 0, betaStart <= betaEnd, betaEnd < 1 else {
      let expected = "0 < beta_start <= beta_end < 1"
      throw SamplingError(.setting(name: "beta_start", expected: expected, found: "\(betaStart) and \(betaEnd)"))
    }
    var betas =
      switch schedule {
      case .linear: Self.line(from: Float(betaStart), to: Float(betaEnd), count: count)
      case .scaledLinear:
        Self.line(from: Float(betaStart.squareRoot()), to: Float(betaEnd.squareRoot()), count: count).map { $0 * $0 }
      }
    if rescaledToZeroTerminal { betas = Self.rescaledToZeroTerminal(betas) }
    let cumulative = Self.cumulativeAlphas(betas)
    self.betas = betas
    self.cumulativeAlphas = cumulative
    isZeroTerminal = rescaledToZeroTerminal
    var positive = cumulative
    if rescaledToZeroTerminal { positive[count - 1] = 0x1p-24 }
    sigmas = positive.map { ((1 - $0) / $0).squareRoot() }
  }

  /// `torch.linspace`: each half is counted from its own end, with one rounding.
  static func line(from start: Float, to end: Float, count: Int) -> [Float] {
    let step = (end - start) / Float(count - 1)
    return (0..<count).map { index in
      index < count / 2
        ? start.addingProduct(step, Float(index)) : end.addingProduct(-step, Float(count - 1 - index))
    }
  }

  static func cumulativeAlphas(_ betas: [Float]) -> [Float] {
    var product = 1.0
    return betas.map { beta in
      product *= Double(1 - beta)
      return Float(product)
    }
  }

  /// Shifts and stretches √ā so that its last value is 0 and its first stays (Lin and others 2023, arXiv:2305.08891,
  /// algorithm 1).
  static func rescaledToZeroTerminal(_ betas: [Float]) -> [Float] {
    let roots = cumulativeAlphas(betas).map { $0.squareRoot() }
    let first = roots[0]
    let last = roots[roots.count - 1]
    let stretch = first / (first - last)
    let alphas = roots.map { root in
      let moved = (root - last) * stretch
      return moved * moved
    }
    return alphas.indices.map { 1 - ($0 == 0 ? alphas[0] : alphas[$0] / alphas[$0 - 1]) }
  }

  /// σ at a timestep that may lie between two of the table (linear between them, the ends beyond them).
  func sigma(at timestep: Double) -> Double {
    let lower = Int(min(max(timestep, 0), Double(count - 1)))
    guard lower + 1 < count else { return Double(sigmas[count - 1]) }
    let slope = Double(sigmas[lower + 1]) - Double(sigmas[lower])
    return slope * max(timestep - Double(lower), 0) + Double(sigmas[lower])
  }

  /// The timestep of a σ, found linearly in ln σ between neighbours; the ends for what lies beyond them.
  func timestep(ofSigma sigma: Double) -> Double {
    // diffusers holds these logarithms in single precision.
    func logarithm(_ index: Int) -> Double { Double(Float(log(Double(sigmas[index])))) }
    let wanted = log(max(sigma, 1e-10))
    var (low, high) = (0, count - 1)
    while high - low > 1 {
      let middle = (low + high) / 2
      if logarithm(middle) <= wanted { low = middle } else { high = middle }
    }
    let (left, right) = (logarithm(low), logarithm(low + 1))
    let share = min(max((wanted - left) / (right - left), 0), 1)
    return Double(low) + share
  }
}
