/// One kind of sampler with its schedule: every step as weighted sums of what is known by then.
protocol StepRule: Sendable {
  /// What the network is told at each step; may lie between whole numbers.
  var timesteps: [Float] { get }

  /// The standard deviation of the noise that a run from the beginning starts with.
  var initialNoiseScale: Float { get }

  /// Whether the steps use earlier predictions.
  var hasHistory: Bool { get }

  func inputScale(at index: Int) -> Float

  func drawsNoise(at index: Int) -> Bool

  /// x₀ of the sample before step `index` and the network's output for it.
  func clean(at index: Int) -> PairWeights

  /// The sample that replaces the one before step `index`, now that the output for it is known; nil for none.
  func correction(at index: Int, taken: Int) -> Correction?

  /// The sample after step `index`, of which `taken` came before in this run.
  func update(at index: Int, taken: Int) -> Update

  /// An image as it would be before step `index`: the weights of the image and of noise.
  func noising(at index: Int) -> (image: Double, noise: Double)
}

extension StepRule {
  var initialNoiseScale: Float { 1 }
  var hasHistory: Bool { false }
  func inputScale(at index: Int) -> Float { 1 }
  func drawsNoise(at index: Int) -> Bool { false }
  func correction(at index: Int, taken: Int) -> Correction? { nil }
}

/// The weights of a step.
struct Update: Equatable, Sendable {
  /// Of the sample before the step.
  var sample = 0.0
  /// Of the network's output for it.
  var output = 0.0
  /// Of x₀ by that output.
  var clean = 0.0
  /// Of x₀ one step before.
  var earlier = 0.0
  /// Of fresh noise.
  var noise = 0.0
}

/// The weights of a corrected sample.
struct Correction: Equatable, Sendable {
  /// Of the sample before the last step.
  var previous = 0.0
  /// Of x₀ now, one step before and two steps before.
  var clean = 0.0
  var earlier = 0.0
  var earliest = 0.0
}
