public import Checkpoints
public import Images
public import Kernels
public import Models
import Sampling

/// Renders pictures with one set of weights.
///
/// The networks come and go one after the other, so that only one is in memory at a time: texts first, then all steps of
/// all pictures, then the decoder. Only the denoiser of a `LoadedModel` stays for whoever asks next.
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

  private let loaded: LoadedModel
  /// Whether others will ask the same denoiser.
  private let isShared: Bool
  private let autoencoder: AutoencoderSource
  private var model: PictureModel { loaded.model }
  private var backends: Backends { loaded.backends }

  /// - Parameters:
  ///   - weights: of the model, perhaps with something added.
  ///   - texts: what others have read with the same text encoders, and where new texts are kept.
  ///   - precision: of the denoiser; texts and pictures are always computed in f32.
  public init(
    _ model: PictureModel, weights: some WeightSource, autoencoder: AutoencoderSource = .own,
    texts: SharedTexts = SharedTexts(),
    precision: Precision, threads: Int
  ) {
    loaded = LoadedModel(model, weights: weights, texts: texts, precision: precision, threads: threads)
    (self.autoencoder, isShared) = (autoencoder, false)
  }

  /// Renders with networks that others use too. The denoiser stays where it is.
  public init(_ loaded: LoadedModel, autoencoder: AutoencoderSource = .own) {
    (self.loaded, self.autoencoder, isShared) = (loaded, autoencoder, true)
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

  /// The latents that `render` would make pictures of, which `PictureModel.pictures` does too.
  ///
  /// - Returns: a result without pictures.
  /// - Throws: as `render`.
  public func latents(
    of requests: [RenderRequest], progress: (Progress) throws -> Void = { _ in }
  ) throws -> Result {
    precondition(!requests.isEmpty, "nothing to render")
    return try KernelThread.run {
      var result = Result()
      try denoise(try prepare(requests, progress), &result, progress, nil)
      backends.pool.trim()
      result.peakPoolBytes = backends.pool.peakBytes
      return result
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
    let texts = try loaded.features(of: requests.map { TextRequest($0, for: model) }, progress)
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
            autoencoder, weights: loaded.weights, backend: backends.exact, expecting: request.size)
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

  // MARK: Steps

  private func denoise(
    _ runs: [Run], _ result: inout Result, _ progress: (Progress) throws -> Void, _ observer: Observer?
  ) throws {
    // The encoder of a first picture is gone by now.
    backends.pool.trim()
    defer { if !isShared { loaded.releaseDenoiser() } }
    let largest = runs.map(\.latentSize).max { $0.area < $1.area }!
    let denoiser = try loaded.denoiser(expecting: largest, progress)
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
    result.images = try model.pictures(
      of: Array(zip(result.latents, requests.map(\.size))), weights: loaded.weights, autoencoder: autoencoder,
      with: backends, progress)
  }
}

extension PictureModel {
  /// Makes pictures of latents, such as `Renderer.latents` has them, with a decoder that is loaded once for all.
  ///
  /// - Parameters:
  ///   - latents: channels × height × width of each, with the size of its picture in pixels; at least one.
  ///   - weights: of the model, perhaps with something added.
  ///   - threads: how many compute.
  /// - Throws: `RenderingError`, `ImageError`, `CheckpointError`, and what `progress` throws.
  public func pictures(
    of latents: [(values: [Float], size: MapSize)], weights: some WeightSource, autoencoder: AutoencoderSource = .own,
    threads: Int, progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> [RGBImage] {
    try KernelThread.run {
      try pictures(
        of: latents, weights: weights, autoencoder: autoencoder, with: Backends(precision: .f32, threads: threads),
        progress)
    }
  }

  fileprivate func pictures(
    of latents: [(values: [Float], size: MapSize)], weights: any WeightSource, autoencoder: AutoencoderSource,
    with backends: Backends, _ progress: (Renderer.Progress) throws -> Void
  ) throws -> [RGBImage] {
    try progress(.loading(.vae))
    let largest = latents.map(\.size).max { $0.area < $1.area }!
    let decoder = try makeDecoder(autoencoder, weights: weights, backend: backends.exact, expecting: largest)
    backends.pool.trim()
    return try latents.enumerated().map { index, latent in
      try progress(.decoding(index + 1, of: latents.count))
      return try decoder.picture(of: latent.values, size: latent.size)
    }
  }
}
