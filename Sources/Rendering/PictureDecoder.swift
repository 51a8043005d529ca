import Checkpoints
import Images
import Kernels
import Networks

/// From latents, as samplers have them, to pictures.
struct PictureDecoder {
  private let network: (FeatureMap) -> FeatureMap
  /// How many pixels a latent pixel stands for, along each side.
  private let reduction: Int
  private let pool: any MemoryPool

  /// A full autoencoder's decoder.
  ///
  /// - Parameter size: in pixels, of the pictures that it will mostly see.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  init(
    _ configuration: AutoencoderConfiguration, weights: some WeightSource, backend: any Backend,
    expecting size: MapSize
  ) throws {
    let decoder = try AutoencoderDecoder(
      configuration, weights: weights, backend: backend, expecting: size.divided(by: configuration.reduction))
    (network, reduction, pool) = ({ decoder($0) }, configuration.reduction, backend.pool)
  }

  /// A TAESD, from its file.
  ///
  /// - Parameter size: in pixels, of the pictures that it will mostly see.
  /// - Throws: `RenderingError`, or the error of the file's room.
  init(tiny path: String, backend: any Backend, expecting size: MapSize) throws {
    let decoder = try TinyDecoder(path: path, backend: backend, expecting: size.divided(by: TinyDecoder.reduction))
    (network, reduction, pool) = ({ decoder($0) }, TinyDecoder.reduction, backend.pool)
  }

  /// - Parameters:
  ///   - latents: channels × height × width.
  ///   - size: of the picture in pixels.
  /// - Throws: `ImageError.notANumber`.
  func picture(of latents: [Float], size: MapSize) throws -> RGBImage {
    let extent = size.divided(by: reduction)
    let map = FeatureMap(
      planar: latents, batch: 1, channels: latents.count / extent.area, height: extent.height, width: extent.width,
      pool: pool)
    return try RGBImage(values: network(map).values, order: .interleaved, width: size.width, height: size.height)
  }
}

extension MapSize {
  fileprivate func divided(by number: Int) -> MapSize { MapSize(height: height / number, width: width / number) }
}
