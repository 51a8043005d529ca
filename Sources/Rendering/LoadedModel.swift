public import Checkpoints
public import Kernels

/// A model with one set of weights, whose networks are loaded once for all that is asked of it.
///
/// Pictures and probes of the same weights share the denoiser, the texts, and the memory that both work in. A denoiser is the
/// largest part of a model: it is there from the first question to the last reference to this value.
public final class LoadedModel {
  /// What the networks are made by.
  public let model: PictureModel
  let weights: any WeightSource
  let backends: Backends
  /// Of the denoiser's products.
  public let precision: Precision
  private let texts: SharedTexts
  private var denoiser: (network: any Denoiser, size: MapSize)?

  /// Loads nothing yet.
  ///
  /// - Parameters:
  ///   - weights: of the model, perhaps with something added.
  ///   - texts: what others have read with the same text encoders, and where new texts are kept.
  ///   - precision: of the denoiser; texts and pictures are always computed in f32.
  public init(
    _ model: PictureModel, weights: some WeightSource, texts: SharedTexts = SharedTexts(), precision: Precision,
    threads: Int
  ) {
    (self.model, self.weights, self.texts, self.precision) = (model, weights, texts, precision)
    backends = Backends(precision: precision, threads: threads)
  }

  /// Reads what will be asked about, with text encoders that are loaded once, or not at all where all is known.
  ///
  /// - Parameters:
  ///   - pictures: that will be rendered.
  ///   - probe: that will be asked.
  /// - Throws: `PromptError`, `CheckpointError`, and what `progress` throws.
  public func readTexts(
    of pictures: [RenderRequest], and probe: NoiseProbe?, progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws {
    let requests = pictures.map { TextRequest($0, for: model) } + (probe?.texts ?? [])
    try KernelThread.run { _ = try features(of: requests, progress) }
  }

  /// What texts say. The text encoders are there only for as long as something has to be read.
  func features(
    of requests: [TextRequest], _ progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> [PromptFeatures] {
    defer { backends.pool.trim() }
    // Pictures that differ only in their seeds share their texts.
    let unread = Set(requests).filter { texts.features[$0] == nil }
    if !unread.isEmpty {
      try progress(.loading(.textEncoder1))
      let reader = try model.makeTextModel(weights: weights, backend: backends.exact)
      try progress(.readingPrompts)
      // In the order in which they are asked for, each once.
      var left = unread
      let inOrder = requests.filter { left.remove($0) != nil }
      for (own, features) in zip(inOrder, try reader.features(of: inOrder)) { texts.features[own] = features }
    }
    return requests.map { texts.features[$0]! }
  }

  /// The denoiser, made for latents of this size; one that was made for another goes first, since kernels are chosen by size.
  func denoiser(
    expecting size: MapSize, _ progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> any Denoiser {
    if let denoiser, denoiser.size == size { return denoiser.network }
    releaseDenoiser()
    try progress(.loading(.denoiser))
    let network = try model.makeDenoiser(weights: weights, backend: backends.main, expecting: size)
    backends.pool.trim()
    denoiser = (network, size)
    return network
  }

  /// Gives back the denoiser's memory.
  func releaseDenoiser() {
    denoiser = nil
    backends.pool.trim()
  }
}

extension TextRequest {
  /// The text of a picture.
  init(_ request: RenderRequest, for model: PictureModel) {
    self.init(
      prompt: request.prompt, negative: request.negativePrompt, style: request.style,
      layersSkipped: request.textLayersSkipped,
      isGuided: request.guidance.needsUnconditional && !model.isGuidanceDistilled)
  }
}
