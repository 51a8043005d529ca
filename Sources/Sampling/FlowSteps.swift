import Platform

/// The noise levels of a rectified flow, and what its samplers have in common: the network's output is the velocity.
protocol FlowRule: StepRule {
  var flow: FlowLevels { get }
}

/// The levels of a run.
struct FlowLevels: Sendable {
  /// Before each step, and 0 after the last.
  let sigmas: [Float]
  let timesteps: [Float]

  init(_ settings: FlowSettings, steps: Int) {
    sigmas = settings.sigmas(steps: steps)
    timesteps = sigmas.dropLast().map { $0 * Float(settings.timestepCount) }
  }

  func level(_ index: Int) -> Double { Double(sigmas[index]) }
}

extension FlowRule {
  var timesteps: [Float] { flow.timesteps }

  /// x₀ = x − σ·v
  func clean(at index: Int) -> PairWeights { PairWeights(sample: 1, output: -flow.level(index)) }

  func noising(at index: Int) -> (image: Double, noise: Double) {
    // In single precision, as levels are.
    (Double(1 - flow.sigmas[index]), flow.level(index))
  }
}

/// Euler's method along a flow's velocity, which is also what DDIM without fresh noise comes to.
struct FlowEuler: FlowRule {
  let flow: FlowLevels

  func update(at index: Int, taken: Int) -> Update {
    Update(sample: 1, output: Double(flow.sigmas[index + 1] - flow.sigmas[index]))
  }
}

/// DPM-Solver++(2M) with the midpoint rule on t = −ln σ, as k-diffusion's sampler takes its steps whatever the model is: the
/// first and the last step are Euler's.
struct FlowDPMSolver: FlowRule {
  let flow: FlowLevels
  var hasHistory: Bool { true }

  func update(at index: Int, taken: Int) -> Update {
    let now = flow.level(index), next = flow.level(index + 1)
    guard next > 0 else { return Update(clean: 1) }
    let ratio = next / now, gain = 1 - ratio
    guard taken > 0 else { return Update(sample: ratio, clean: gain) }
    // ½ of the quotient of this step's length and the last one's, in −ln σ.
    let half = log(now / next) / log(flow.level(index - 1) / now) / 2
    return Update(sample: ratio, clean: gain * (1 + half), earlier: -gain * half)
  }
}
