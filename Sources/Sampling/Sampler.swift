/// A run from noise to an image: which timesteps the network sees, and what becomes of the sample after each.
///
/// A sample is any number of latents as one flat array; the arithmetic is in single precision with weights from double
/// precision, and follows diffusers 0.42.1, its order of random draws included:
///
/// ```swift
/// var sampler = try Sampler(.dpm2MKarras, settings: .stableDiffusion1, steps: 20)
/// var noise = TorchNoise(seed: 42)
/// var sample = noise.normals(count: count).map { $0 * sampler.initialNoiseScale }
/// for (index, timestep) in sampler.timesteps.enumerated() {
///   let scale = sampler.inputScale(at: index)
///   let output = network(sample.map { $0 * scale }, timestep)
///   sampler.step(output: output, sample: &sample, index: index, noise: &noise)
/// }
/// ```
///
/// A sampler remembers what its steps need of earlier ones: take a fresh one, or a copy of a fresh one, for each run.
public struct Sampler: Sendable {
  /// The rule that its steps follow.
  public let kind: SamplerKind
  private let rule: any StepRule
  private let clipRange: Float?
  private var history = History()

  /// - Parameters:
  ///   - settings: What the model says about its noise.
  ///   - steps: At least 1.
  ///   - eta: Of DDIM and TCD: how much of the noise is fresh, 0 to 1. nil for the sampler's own default.
  /// - Throws: `SamplingError` for steps, eta and settings that do not go together.
  public init(
    _ kind: SamplerKind, settings: SchedulerSettings, steps: Int, eta: Double? = nil
  ) throws(SamplingError) {
    if let flow = settings.flow {
      (self.kind, clipRange) = (kind, nil)
      rule = try Self.rule(kind, flow: flow, steps: steps, eta: eta)
      return
    }
    let table = try settings.table(for: kind)
    if kind.isConsistencyModel, !(1...table.count).contains(settings.originalSteps) {
      let found = "\(settings.originalSteps)"
      throw SamplingError(.setting(name: "original_inference_steps", expected: "1 to \(table.count)", found: found))
    }
    let limit = kind.isConsistencyModel ? settings.originalSteps : table.count
    guard steps >= 1, steps <= limit else {
      throw SamplingError(.steps(sampler: kind, limit: limit, found: steps))
    }
    if let eta {
      guard kind.defaultEta != nil else { throw SamplingError(.etaWithoutUse(sampler: kind)) }
      guard eta >= 0, eta <= 1 else { throw SamplingError(.eta(found: eta)) }
    }
    let eta = eta ?? kind.defaultEta ?? 0
    self.kind = kind
    clipRange = settings.clipRange(for: kind)
    let schedule = try Schedule(kind, settings: settings, table: table, steps: steps)
    let prediction = settings.prediction
    rule =
      switch kind {
      case .ddim:
        DDIM(schedule, prediction: prediction, eta: eta, setsAlphaToOne: settings.setsAlphaToOne)
      case .euler: Euler(schedule, prediction: prediction, isAncestral: false)
      case .eulerAncestral: Euler(schedule, prediction: prediction, isAncestral: true)
      case .dpm2M, .dpm2MKarras: DPMSolver(schedule, prediction: prediction, isStochastic: false)
      case .dpm2MSDE: DPMSolver(schedule, prediction: prediction, isStochastic: true)
      case .uniPC: UniPC(schedule, prediction: prediction)
      case .lcm:
        LatentConsistency(schedule, prediction: prediction, timestepScaling: settings.timestepScaling)
      case .tcd: TrajectoryConsistency(schedule, prediction: prediction, eta: eta)
      }
  }

  private static func rule(
    _ kind: SamplerKind, flow: FlowSettings, steps: Int, eta: Double?
  ) throws(SamplingError) -> any StepRule {
    guard steps >= 1, steps <= flow.timestepCount else {
      throw SamplingError(.steps(sampler: kind, limit: flow.timestepCount, found: steps))
    }
    // Fresh noise has other weights on a flow.
    if let eta, eta != 0 || kind != .ddim { throw SamplingError(.etaWithoutUse(sampler: kind)) }
    let levels = FlowLevels(flow, steps: steps)
    switch kind {
    case .euler, .ddim: return FlowEuler(flow: levels)
    case .dpm2M: return FlowDPMSolver(flow: levels)
    case .eulerAncestral, .dpm2MKarras, .dpm2MSDE, .uniPC, .lcm, .tcd: throw SamplingError(.notOfFlows(sampler: kind))
    }
  }

  /// What the network is told at each step, descending; may lie between whole numbers.
  public var timesteps: [Float] { rule.timesteps }

  /// What noise of variance 1 is multiplied by to start from.
  public var initialNoiseScale: Float { rule.initialNoiseScale }

  /// What the sample is multiplied by before the network sees it at step `index`.
  public func inputScale(at index: Int) -> Float {
    precondition(timesteps.indices.contains(index), "there is no such step")
    return rule.inputScale(at: index)
  }

  /// Whether step `index` draws noise: once, as many numbers as the sample has.
  public func drawsNoise(at index: Int) -> Bool {
    precondition(timesteps.indices.contains(index), "there is no such step")
    return rule.drawsNoise(at: index)
  }

  /// The first step of a run that changes an image: the last `strength` of all steps, rounded down.
  /// - Throws: `SamplingError` unless 0 < `strength` ≤ 1 and at least one step is left.
  public func firstIndex(strength: Double) throws(SamplingError) -> Int {
    guard strength > 0, strength <= 1 else { throw SamplingError(.strength(found: strength)) }
    let steps = Int(Double(timesteps.count) * strength)
    guard steps > 0 else { throw SamplingError(.nothingToDo(strength: strength, steps: timesteps.count)) }
    return timesteps.count - steps
  }

  /// The latent of an image with as much noise as a sample has before step `index`.
  /// - Parameter noise: Of variance 1, as many numbers as the latent has.
  public func noised(_ latent: [Float], with noise: [Float], at index: Int) -> [Float] {
    precondition(timesteps.indices.contains(index), "there is no such step")
    precondition(latent.count == noise.count, "there is a number of noise for each of the latent")
    let weights = rule.noising(at: index)
    return zip(latent, noise).map { Float(weights.image) * $0 + Float(weights.noise) * $1 }
  }

  /// Takes one step.
  /// - Parameters:
  ///   - output: What the network says about the scaled sample at `timesteps[index]`.
  ///   - sample: The sample before the step, then the one after it.
  ///   - index: Any for the first step, then the next one each time.
  ///   - noise: Is asked where `drawsNoise(at: index)`.
  public mutating func step(output: [Float], sample: inout [Float], index: Int, noise: inout some NoiseSource) {
    precondition(timesteps.indices.contains(index), "there is no such step")
    precondition(output.count == sample.count, "the network's output has the size of the sample")
    precondition(index == history.next ?? index, "steps are taken in order; a new run needs a fresh sampler")

    let weights = rule.clean(at: index)
    var clean = Self.sum([(weights.sample, sample), (weights.output, output)])
    if let clipRange { clean = clean.map { min(max($0, -clipRange), clipRange) } }
    if let correction = rule.correction(at: index, taken: history.taken) {
      sample = Self.sum([
        (correction.previous, history.sample), (correction.clean, clean), (correction.earlier, history.earlier),
        (correction.earliest, history.earliest),
      ])
    }
    let update = rule.update(at: index, taken: history.taken)
    let draw = rule.drawsNoise(at: index) ? noise.normals(count: sample.count) : []
    let next = Self.sum([
      (update.sample, sample), (update.output, output), (update.clean, clean), (update.earlier, history.earlier),
      (update.noise, draw),
    ])
    history.record(sample: sample, clean: clean, index: index, isKept: rule.hasHistory)
    sample = next
  }

  /// Σ weight · values. What has no weight may have no values.
  private static func sum(_ terms: [(weight: Double, values: [Float])]) -> [Float] {
    var result: [Float] = []
    for term in terms where term.weight != 0 {
      let weight = Float(term.weight)
      if result.isEmpty {
        result = term.values.map { weight * $0 }
      } else {
        precondition(term.values.count == result.count, "all samples of a run have the same size")
        for index in result.indices { result[index] += weight * term.values[index] }
      }
    }
    return result
  }

  /// What is left of the steps taken.
  private struct History: Sendable {
    /// How many there were.
    var taken = 0
    /// The only step that can come now; nil before the first.
    var next: Int?
    /// The sample before the last step.
    var sample: [Float] = []
    /// x₀ of the last step and of the one before.
    var earlier: [Float] = []
    var earliest: [Float] = []

    mutating func record(sample: [Float], clean: [Float], index: Int, isKept: Bool) {
      (taken, next) = (taken + 1, index + 1)
      guard isKept else { return }
      self.sample = sample
      (earliest, earlier) = (earlier, clean)
    }
  }
}
