public import Kernels
public import Rendering

/// How pictures are made for an audit.
public struct AuditRendering: Sendable {
  /// The base's, whose networks get the weights of either side.
  public var model: PictureModel
  /// What makes pictures of latents: the model's own, or another.
  public var autoencoder: AutoencoderSource
  /// Of all pictures; prompt, seed and size are each scene's own.
  public var request: RenderRequest
  /// Of the denoiser's products.
  public var precision: Precision
  /// How many threads the engine works with.
  public var threads: Int

  /// - Parameter request: its prompt, negative prompt, seed and size are replaced by each scene's.
  public init(
    model: PictureModel, autoencoder: AutoencoderSource = .own, request: RenderRequest, precision: Precision,
    threads: Int
  ) {
    (self.model, self.autoencoder, self.request) = (model, autoencoder, request)
    (self.precision, self.threads) = (precision, threads)
  }

  /// What a scene's picture is made by.
  func request(_ scene: AuditScene) -> RenderRequest {
    var request = request
    (request.prompt, request.negativePrompt) = (scene.prompt, scene.negative)
    (request.seed, request.size) = (scene.seed, scene.size)
    return request
  }
}
