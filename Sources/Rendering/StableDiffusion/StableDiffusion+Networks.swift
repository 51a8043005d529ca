import Checkpoints
import Kernels
import Networks
import Prompts
import Sampling

extension StableDiffusion: ModelArchitecture {
  var denoiserName: String { "UNet" }
  var latents: LatentFormat {
    LatentFormat(
      channels: unet.inputChannels, reduction: autoencoder?.reduction ?? 8,
      scaling: autoencoder.map { LatentFormat.Scaling($0) })
  }
  var isGuidanceDistilled: Bool { unet.guidanceChannels != nil }
  var usualGuidance: Double { textUse == .two ? 6 : 7 }
  var textLayers: Int { textEncoders.map(\.layers).min()! }

  func usualSize(_ scheduler: SchedulerSettings) -> Int {
    if let side = trainedSide { return side * latents.reduction }
    return switch textUse {
    case .two: 1024
    case .one: scheduler.prediction == .velocity ? 768 : 512
    }
  }

  func truncatedTokens(of text: String, style: PromptStyle) throws -> Int {
    try PromptChunks(of: text, style: style, tokenizer: tokenizer, padding: 0).truncatedTokens
  }

  func hasDenoiser(like other: any ModelArchitecture) -> Bool { (other as? Self)?.unet == unet }

  func denoiser(
    weights: any WeightSource, backend: any Backend, expecting size: MapSize, tap: (any LayerTap)?
  ) throws -> any Denoiser {
    UNetDenoiser(try UNet(unet, weights: weights, backend: backend, expecting: size, tap: tap), pool: backend.pool)
  }

  func textModel(weights: any WeightSource, backend: any Backend, tap: (any LayerTap)?) throws -> any TextModel {
    try CLIPTextModel(self, weights: weights, backend: backend, tap: tap)
  }

  func denoiserMemory(
    _ checkpoint: Checkpoint, latent: MapSize, batch: Int, precision: Precision, threads: Int
  ) -> Int {
    UNet.memory(unet, checkpoint, latent: latent, batch: batch, precision: precision, threads: threads)
  }

  func textMemory(_ checkpoint: Checkpoint) -> Int {
    Self.encoders.prefix(textEncoders.count).reduce(0) { $0 + CLIPTextEncoder.memory(checkpoint, $1) }
  }
}
