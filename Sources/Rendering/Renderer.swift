public import Checkpoints
public import Images
public import Kernels
public import Models
import Sampling

/// Renders pictures with one set of weights.
///
/// The networks come and go one after the other, so that only one is in memory at a time: texts first, then all steps of
/// all pictures, then the decoder.
public struct Renderer {
  /// What is being done, for those who wait.
  public enum Progress: Sendable {
    case loading(Component)
    case readingPrompts
    /// Steps done, of all pictures.
    case step(Int, of: Int)
    case decoding(Int, of: Int)
  }

  /// What came of it.
  public struct Result: Sendable {
    /// In the order of the requests.
    public var images: [RGBImage] = []
    /// Of the steps after the first, which also prepares the kernels; of all if there is only one.
    public var secondsPerStep = 0.0
    /// The most memory that the backend held for maps at any time, in bytes.
    public var peakPoolBytes = 0
    /// Latents at the end, for comparisons: channels × height × width.
    public var latents: [[Float]] = []
  }

  /// Looks at what is there after a step: the request, the step, and the latents, channels × height × width.
  public typealias Observer = (_ request: Int, _ step: Int, _ latents: [Float]) throws -> Void

  private let model: PictureModel
  private let weights: any WeightSource
  private let autoencoder: AutoencoderSource
  private let texts: SharedTexts
  private let backends: Backends

  /// - Parameters:
  ///   - weights: of the model, perhaps with something added.
  ///   - texts: what others have read with the same text encoders, and where new texts are kept.
  ///   - precision: of the denoiser; texts and pictures are always computed in f32.
  public init(
    _ model: PictureModel, weights: some WeightSource, autoencoder: AutoencoderSource = .own,
    texts: SharedTexts = SharedTexts(),
    precision: Precision, threads: Int
  ) {
    self.model = model
    self.weights = weights
    self.autoencoder = autoencoder
    self.texts = texts
    backends = Backends(precision: precision, threads: threads)
  }

  /// Renders the pictures one after the other; each is the same alone and among others.
  ///
  /// `progress` and `observer` are called on `KernelThread`, so they must not belong to an actor.
  ///
  /// - Throws: `RenderingError`, `SamplingError`, `PromptError`, `ImageError`, `CheckpointError`, and what `progress` and
  ///   `observer` throw.
  public func render(
    _ requests: [RenderRequest], progress: (Progress) throws -> Void = { _ in }, observer: Observer? = nil
  ) throws -> Result {
    precondition(!requests.isEmpty, "nothing to render")
    return try KernelThread.run {
      var result = Result()
      try denoise(try prepare(requests, progress), &result, progress, observer)
      backends.pool.trim()
      try decode(requests, &result, progress)
      result.peakPoolBytes = backends.pool.peakBytes
      return result
    }
  }

  /// The latents that `render` would make pictures of.
  ///
  /// - Throws: as `render`.
  public func latents(
    of requests: [RenderRequest], progress: (Progress) throws -> Void = { _ in }
  ) throws -> [[Float]] {
    precondition(!requests.isEmpty, "nothing to render")
    return try KernelThread.run {
      var result = Result()
      try denoise(try prepare(requests, progress), &result, progress, nil)
      backends.pool.trim()
      return result.latents
    }
  }

  // MARK: Texts and first latents

  /// Everything a picture's steps need but the denoiser.
  private struct Run {
    let request: RenderRequest
    let texts: PromptFeatures
    var sampler: Sampler
    var noise: any NoiseSource
    var latent: [Float]
    let firstStep: Int
    let latentSize: MapSize
  }

  private func prepare(
    _ requests: [RenderRequest], _ progress: (Progress) throws -> Void
  ) throws -> [Run] {
    let step = model.latents.pixelStep
    for request in requests {
      for (what, extent) in [("height", request.size.height), ("width", request.size.width)] {
        guard extent > 0, extent % step == 0 else {
          throw RenderingError(
            .unsupported(what: what, expected: "a multiple of \(step) pixels", found: "\(extent)", hint: nil))
        }
      }
    }
    let samplers = try requests.map {
      try Sampler($0.sampler, settings: model.scheduler, steps: $0.steps, eta: $0.eta)
    }
    let firstSteps = try zip(requests, samplers).map { request, sampler in
      try request.start.map { try sampler.firstIndex(strength: $0.strength) } ?? 0
    }
    let texts = try readTexts(requests, progress)
    backends.pool.trim()
    var encoder: PictureEncoder?
    return try requests.indices.map { index in
      let request = requests[index], sampler = samplers[index], firstStep = firstSteps[index]
      let count = model.latents.count(of: request.size)
      var noise: any NoiseSource =
        request.generator == .torch ? TorchNoise(seed: request.seed) : PhiloxNoise(seed: request.seed)
      let latent: [Float]
      if let start = request.start {
        precondition(
          start.image.width == request.size.width && start.image.height == request.size.height,
          "the first picture has another size")
        if encoder == nil {
          try progress(.loading(.vae))
          encoder = try model.makeEncoder(
            autoencoder, weights: weights, backend: backends.exact, expecting: request.size)
        }
        let clean = encoder!.latents(of: start.image, noise: start.draws ? noise.normals(count: count) : nil)
        latent = sampler.noised(clean, with: noise.normals(count: count), at: firstStep)
      } else {
        latent = noise.normals(count: count).map { $0 * sampler.initialNoiseScale }
      }
      return Run(
        request: request, texts: texts[index], sampler: sampler, noise: noise, latent: latent, firstStep: firstStep,
        latentSize: model.latents.size(of: request.size))
    }
  }

  /// What the prompts of requests say. The text encoders are there only for as long as something has to be read.
  private func readTexts(
    _ requests: [RenderRequest], _ progress: (Progress) throws -> Void
  ) throws -> [PromptFeatures] {
    let all = requests.map { request in
      TextRequest(
        prompt: request.prompt, negative: request.negativePrompt, style: request.style,
        layersSkipped: request.textLayersSkipped,
        isGuided: request.guidance.needsUnconditional && !model.isGuidanceDistilled)
    }
    // Pictures that differ only in their seeds share their texts.
    if all.contains(where: { texts.features[$0] == nil }) {
      try progress(.loading(.textEncoder1))
      let reader = try model.makeTextModel(weights: weights, backend: backends.exact)
      try progress(.readingPrompts)
      for own in all where texts.features[own] == nil { texts.features[own] = try reader.features(of: own) }
    }
    return all.map { texts.features[$0]! }
  }

  // MARK: Steps

  private func denoise(
    _ runs: [Run], _ result: inout Result, _ progress: (Progress) throws -> Void, _ observer: Observer?
  ) throws {
    // The encoder of a first picture is gone by now.
    backends.pool.trim()
    try progress(.loading(.denoiser))
    let largest = runs.map(\.latentSize).max { $0.area < $1.area }!
    let denoiser = try model.makeDenoiser(weights: weights, backend: backends.main, expecting: largest)
    backends.pool.trim()
    let total = runs.reduce(0) { $0 + $1.sampler.timesteps.count - $1.firstStep }
    var done = 0, times: [Duration] = []
    for (index, run) in runs.enumerated() {
      var run = run
      let steps = run.firstStep..<run.sampler.timesteps.count
      let guided = try GuidedDenoiser(
        denoiser, run.texts, request: run.request, times: steps.map { run.sampler.timesteps[$0] },
        channels: model.latents.channels, pool: backends.pool)
      for step in steps {
        let start = ContinuousClock.now, scale = run.sampler.inputScale(at: step)
        let input = scale == 1 ? run.latent : run.latent.map { $0 * scale }
        let output = try guided.output(for: input, size: run.latentSize, step: step - run.firstStep)
        try RenderingError.refuseNotFinite(
          output, "step \(step + 1): the \(model.denoiserName)'s prediction", file: model.path)
        run.sampler.step(output: output, sample: &run.latent, index: step, noise: &run.noise)
        times.append(ContinuousClock.now - start)
        done += 1
        try progress(.step(done, of: total))
        try observer?(index, step, run.latent)
      }
      result.latents.append(run.latent)
    }
    let steady = times.count > 1 ? times[1...] : times[...]
    result.secondsPerStep = (steady.reduce(.zero, +) / max(steady.count, 1)) / .seconds(1)
  }

  // MARK: Pictures

  private func decode(
    _ requests: [RenderRequest], _ result: inout Result, _ progress: (Progress) throws -> Void
  ) throws {
    try progress(.loading(.vae))
    let largest = requests.map(\.size).max { $0.area < $1.area }!
    let decoder = try model.makeDecoder(
      autoencoder, weights: weights, backend: backends.exact, expecting: largest)
    backends.pool.trim()
    for (index, request) in requests.enumerated() {
      try progress(.decoding(index + 1, of: requests.count))
      result.images.append(try decoder.picture(of: result.latents[index], size: request.size))
    }
  }
}
