public import Kernels
public import Sampling

/// What is drawn to look into a model: a short run of each prompt, whose noisy latents stand for what the denoiser sees.
public struct Calibration: Sendable {
  /// What is drawn.
  public struct Scene: Sendable {
    /// In the spelling of A1111.
    public var prompt: String
    /// `nil` for none, which for some models is not the same as an empty text.
    public var negative: String?
    /// Of the first noise.
    public var seed: UInt64

    /// Guided away from nothing, if no negative prompt is given.
    public init(prompt: String, negative: String? = nil, seed: UInt64) {
      (self.prompt, self.negative, self.seed) = (prompt, negative, seed)
    }
  }

  /// Steps of a run.
  public static let steps = 5

  let model: PictureModel
  /// In the order in which they are drawn.
  public let scenes: [Scene]
  /// Height and width in pixels.
  public let size: MapSize
  /// How closely prompts are followed.
  public let guidance: Guidance
  let threads: Int

  /// - Parameters:
  ///   - scenes: at least one.
  ///   - size: height and width in pixels, multiples of the model's `LatentFormat.pixelStep`.
  public init(_ model: PictureModel, scenes: [Scene], size: MapSize, guidance: Guidance, threads: Int) {
    precondition(!scenes.isEmpty, "nothing to draw")
    precondition(
      size.height % model.latents.pixelStep == 0 && size.width % model.latents.pixelStep == 0, "a size of no latents")
    (self.model, self.scenes, self.size, self.guidance, self.threads) = (model, scenes, size, guidance, threads)
  }

  /// What the denoiser is given at some steps of a run, with the texts of the scene.
  struct Sample {
    var text: TextFeatures
    let time: Float
    /// Channels × height × width.
    let latent: [Float]
  }

  /// A sampler without noise of its own, so that a run is told by its seed.
  func sampler() throws -> Sampler { try Sampler(.dpm2M, settings: model.scheduler, steps: Self.steps) }

  /// Draws a scene and keeps what the denoiser was given at the chosen steps.
  func samples(
    of scene: Scene, text: PromptFeatures, at chosen: [Int], denoiser: any Denoiser, pool: any MemoryPool
  ) throws -> [Sample] {
    var sampler = try sampler()
    var request = RenderRequest(prompt: scene.prompt, size: size)
    request.guidance = guidance
    let guided = try GuidedDenoiser(
      denoiser, text, request: request, times: sampler.timesteps, channels: model.latents.channels, pool: pool)
    var source: any NoiseSource = TorchNoise(seed: scene.seed)
    var latent = source.normals(count: model.latents.count(of: size)).map { $0 * sampler.initialNoiseScale }
    var samples: [Sample] = []
    for step in 0...(chosen.max() ?? 0) {
      let scale = sampler.inputScale(at: step), input = scale == 1 ? latent : latent.map { $0 * scale }
      if chosen.contains(step) {
        samples.append(Sample(text: text.prompt, time: sampler.timesteps[step], latent: input))
      }
      guard step < chosen.max()! else { break }
      let output = try guided.output(for: input, size: model.latents.size(of: size), step: step)
      try RenderingError.refuseNotFinite(
        output, "step \(step + 1): the \(model.denoiserName)'s prediction", file: model.path)
      sampler.step(output: output, sample: &latent, index: step, noise: &source)
    }
    return samples
  }

  /// So many samples are predicted together at most.
  public static let samplesAtOnce = 4

  /// What the denoiser says to all samples, without guidance: those of one length of text together, a few at a time.
  func predictions(_ samples: [Sample], denoiser: any Denoiser, pool: any MemoryPool) throws -> [Float] {
    var values: [Float] = [], start = 0
    while start < samples.count {
      let tokens = samples[start].text.tokens
      let part = samples[start...].prefix(Self.samplesAtOnce).prefix { $0.text.tokens == tokens }
      values += try predictions(together: Array(part), denoiser: denoiser, pool: pool)
      start += part.count
    }
    return values
  }

  private func predictions(
    together samples: [Sample], denoiser: any Denoiser, pool: any MemoryPool
  ) throws -> [Float] {
    let latent = model.latents.size(of: size), sizes = DenoiserCondition.sizes(of: size)
    let input = FeatureMap(
      planar: samples.flatMap(\.latent), batch: samples.count, channels: model.latents.channels, height: latent.height,
      width: latent.width, pool: pool)
    let prepared = try denoiser.prepared(
      for: samples.map { DenoiserCondition(text: $0.text, sizes: sizes, guidance: guidance.scale) },
      steps: [samples.map(\.time)])
    let values = try prepared.prediction(of: input, step: 0).planarValues
    try RenderingError.refuseNotFinite(values, "the \(model.denoiserName)'s prediction", file: model.path)
    return values
  }

  func request(_ scene: Scene) -> TextRequest {
    TextRequest(
      prompt: scene.prompt, negative: scene.negative,
      isGuided: guidance.needsUnconditional && !model.isGuidanceDistilled)
  }
}
