public import Checkpoints
public import Kernels
import Sampling

/// What a denoiser says about the same noisy latents at four times: the cheapest test that feels a change of weights.
///
/// One forward pass sees every weight, and its output has nothing of the chaos that many steps make of small changes.
public struct NoiseProbe: Sendable {
  /// From nearly pure noise to nearly a picture.
  public static let times: [Float] = [981, 701, 401, 101]

  private let model: PictureModel
  /// What the predictions are conditioned on, each by itself.
  public let prompts: [String]
  /// Height and width of the pictures that the latents would become, in pixels.
  public let size: MapSize
  /// The arithmetic of the denoiser's products.
  public let precision: Precision
  private let threads: Int
  private let seed: UInt64

  /// - Parameters:
  ///   - size: height and width in pixels, multiples of 8.
  ///   - seed: of the latents.
  public init(
    _ model: PictureModel, prompts: [String], size: MapSize, precision: Precision = .f32, threads: Int, seed: UInt64 = 0
  ) {
    precondition(!prompts.isEmpty, "a probe needs a prompt")
    self.model = model
    self.prompts = prompts
    self.size = size
    self.precision = precision
    self.threads = threads
    self.seed = seed
  }

  /// Its prompts as they are read.
  var texts: [TextRequest] { prompts.map { TextRequest(prompt: $0) } }

  /// The predictions with some weights, without guidance: for each prompt one list for each of `times`.
  ///
  /// - Throws: `PromptError`, `CheckpointError`, `RenderingError` for predictions that are not finite.
  public func predictions(with weights: some WeightSource) throws -> [[[Float]]] {
    try predictions(with: LoadedModel(model, weights: weights, precision: precision, threads: threads))
  }

  /// The same with networks that others use too, which have the probe's precision. The denoiser stays where it is.
  ///
  /// - Throws: as the other `predictions`.
  public func predictions(
    with loaded: LoadedModel, progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> [[[Float]]] {
    precondition(loaded.precision == precision, "a probe in \(precision.rawValue) needs networks of that precision")
    return try KernelThread.run {
      let texts = try loaded.features(of: texts, progress).map(\.prompt)
      let latent = model.latents.size(of: size), denoiser = try loaded.denoiser(expecting: latent, progress)
      let latents = try latents(latent)
      return try texts.map { try predictions(denoiser, $0, latents, latent, pool: loaded.backends.pool) }
    }
  }

  /// All times as the samples of one step.
  private func predictions(
    _ denoiser: any Denoiser, _ text: TextFeatures, _ latents: [Float], _ latent: MapSize, pool: any MemoryPool
  ) throws -> [[Float]] {
    let batch = Self.times.count
    let condition = DenoiserCondition(text: text, sizes: DenoiserCondition.sizes(of: size))
    let input = FeatureMap(
      planar: latents, batch: batch, channels: model.latents.channels, height: latent.height, width: latent.width,
      pool: pool)
    let prepared = try denoiser.prepared(for: Array(repeating: condition, count: batch), steps: [Self.times])
    let values = try prepared.prediction(of: input, step: 0).planarValues
    try RenderingError.refuseNotFinite(values, "the \(model.denoiserName)'s prediction", file: model.path)
    let count = values.count / batch
    return (0..<batch).map { Array(values[$0 * count..<($0 + 1) * count]) }
  }

  /// Something coarse, as pictures are, under as much noise as there is at each time.
  private func latents(_ size: MapSize) throws -> [Float] {
    var noise = TorchNoise(seed: seed)
    let channels = model.latents.channels, count = channels * size.area, grain = 8
    let coarseWidth = (size.width + grain - 1) / grain, coarseHeight = (size.height + grain - 1) / grain
    let coarse = noise.normals(count: channels * coarseHeight * coarseWidth), fine = noise.normals(count: count)
    let clean = (0..<count).map { i in
      let channel = i / (size.height * size.width), y = i / size.width % size.height, x = i % size.width
      return coarse[(channel * coarseHeight + y / grain) * coarseWidth + x / grain]
    }
    // A run over every time that there is, so that each can be found in it.
    var settings = model.scheduler
    (settings.spacing, settings.stepsOffset) = (.linspace, 0)
    settings.flow?.shift = 1
    let run = try Sampler(.ddim, settings: settings, steps: settings.timestepCount)
    return Self.times.flatMap { time in
      // Times are whole numbers, those of a flow but for their rounding.
      let index = run.timesteps.firstIndex { $0 < time + 0.5 } ?? 0
      return run.noised(clean, with: fine, at: index)
    }
  }
}

/// How far predictions of the noise are from each other.
public struct NoiseComparison: Sendable, Equatable {
  /// For each of `NoiseProbe.times`.
  public let relativeErrors: [Double]
  /// Over all times.
  public let relativeError: Double

  /// ‖a - b‖ ÷ ‖a - origin‖, in the sense of Frobenius.
  ///
  /// - Parameter origin: predictions of the base alone, for the share of an adapter's effect that changed; `nil` for zero,
  ///   for the share of the prediction itself.
  public init(_ a: [[Float]], _ b: [[Float]], origin: [[Float]]? = nil) {
    precondition(a.count == b.count && origin.map { $0.count == a.count } ?? true, "predictions at different times")
    let parts = a.indices.map { index -> (error: Double, size: Double) in
      var error = 0.0, size = 0.0
      for i in a[index].indices {
        let difference = Double(a[index][i]) - Double(b[index][i])
        let effect = Double(a[index][i]) - (origin.map { Double($0[index][i]) } ?? 0)
        error += difference * difference
        size += effect * effect
      }
      return (error, size)
    }
    func ratio(_ error: Double, _ size: Double) -> Double { error == 0 ? 0 : (error / size).squareRoot() }
    relativeErrors = parts.map { ratio($0.error, $0.size) }
    relativeError = ratio(parts.reduce(0) { $0 + $1.error }, parts.reduce(0) { $0 + $1.size })
  }
}
