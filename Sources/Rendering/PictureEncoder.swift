import Checkpoints
import Images
import Kernels
import Networks

/// From pictures to latents, as samplers have them.
struct PictureEncoder {
  private let network: AutoencoderEncoder
  private let pool: any MemoryPool

  /// - Parameter size: in pixels, of the pictures that it will mostly see.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  init(
    _ configuration: AutoencoderConfiguration, weights: some WeightSource, backend: any Backend,
    expecting size: MapSize
  ) throws {
    network = try AutoencoderEncoder(configuration, weights: weights, backend: backend, expecting: size)
    pool = backend.pool
  }

  /// - Parameter noise: as many normal numbers as the latents have, to draw them from the autoencoder's distribution; `nil` for
  ///   the means.
  /// - Returns: channels × height × width.
  func latents(of image: RGBImage, noise: [Float]?) -> [Float] {
    let picture = FeatureMap(
      image.values(in: .interleaved), batch: 1, height: image.height, width: image.width, channels: 3, pool: pool)
    return network.latents(of: picture, noise: noise).planarValues
  }
}
