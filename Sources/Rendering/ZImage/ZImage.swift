import Checkpoints
import Kernels
import Models
import Networks
import Prompts
import Sampling

/// Z-Image (Alibaba 2025), with and without guidance: a transformer, a Qwen3 language model for texts, and an autoencoder of
/// 16 channels, in a folder as diffusers writes it.
struct ZImage: ModelArchitecture {
  static let family = Family(named: "zimage")!

  let transformer: ZImageConfiguration
  let textEncoder: QwenConfiguration
  let tokenizer: QwenTokenizer
  let autoencoder: AutoencoderConfiguration?
  let scheduler: SchedulerSettings
  let assumptions: [PictureModel.Assumption] = []

  /// Reads configurations and shapes; no weights.
  ///
  /// - Throws: `NetworkError` and `RenderingError` for models that cannot be rendered, with the reason; `CheckpointError`,
  ///   `PromptError`.
  init(_ checkpoint: Checkpoint) throws {
    guard checkpoint.isFolder, !checkpoint.weights(of: .textEncoder1).isEmpty else {
      throw RenderingError(
        .missing(
          "a text encoder beside the transformer", hint: "Z-Image is rendered from a folder as diffusers writes it"),
        file: checkpoint.path)
    }
    transformer = try ZImageConfiguration(of: checkpoint)
    textEncoder = try QwenConfiguration(of: checkpoint)
    guard textEncoder.channels == transformer.contextChannels else {
      throw RenderingError(
        .unsupported(
          what: "text features", expected: "\(transformer.contextChannels) for this transformer",
          found: "\(textEncoder.channels)", hint: nil), file: checkpoint.path)
    }
    tokenizer = try checkpoint.qwenTokenizer()
    try textEncoder.check(tokens: tokenizer.vocabularySize, file: "\(checkpoint.folder)/text_encoder/config.json")
    autoencoder = checkpoint.weights(of: .vae).isEmpty ? nil : try AutoencoderConfiguration(of: checkpoint)
    scheduler = SchedulerSettings(flow: try checkpoint.flowSettings() ?? FlowSettings(shift: 3))
  }

  // MARK: What it is

  var denoiserName: String { "transformer" }

  var latents: LatentFormat {
    LatentFormat(
      channels: transformer.latentChannels, reduction: autoencoder?.reduction ?? 8, packing: ZImageConfiguration.patch,
      scaling: autoencoder.map { LatentFormat.Scaling($0) } ?? LatentFormat.Scaling(scale: 0.3611, shift: 0.1159))
  }

  var isGuidanceDistilled: Bool { false }
  /// The distilled model wants none, and nothing in a file tells it from the other.
  var usualGuidance: Double { 1 }
  /// The last layer is never read.
  var textLayers: Int { textEncoder.layers - 1 }
  var weighsPrompts: Bool { false }

  func usualSize(_ scheduler: SchedulerSettings) -> Int { 1024 }
  func truncatedTokens(of text: String, style: PromptStyle) -> Int { 0 }

  func hasDenoiser(like other: any ModelArchitecture) -> Bool { (other as? Self)?.transformer == transformer }

  // MARK: Its networks

  func denoiser(
    weights: any WeightSource, backend: any Backend, expecting size: MapSize, tap: (any LayerTap)?
  ) throws -> any Denoiser {
    ZImageDenoiser(
      try ZImageTransformer(transformer, weights: weights, backend: backend, tap: tap), pool: backend.pool)
  }

  func textModel(weights: any WeightSource, backend: any Backend, tap: (any LayerTap)?) throws -> any TextModel {
    try QwenTextModel(self, weights: weights, backend: backend, tap: tap)
  }

  func denoiserMemory(
    _ checkpoint: Checkpoint, latent: MapSize, batch: Int, precision: Precision, threads: Int
  ) -> Int {
    ZImageTransformer.memory(
      transformer, checkpoint, latent: latent, samples: batch, precision: precision, threads: threads)
  }

  func textMemory(_ checkpoint: Checkpoint) -> Int { QwenTextEncoder.memory(textEncoder) }
}
