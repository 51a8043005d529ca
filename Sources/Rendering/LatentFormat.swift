public import Kernels

/// What latents are: those that a model's denoiser sees, or those that an autoencoder makes.
public struct LatentFormat: Sendable, Equatable {
  /// What a denoiser sees of an autoencoder's latents: (latent − shift) · scale.
  public struct Scaling: Sendable, Equatable {
    /// The factor, applied last.
    public let scale: Float
    /// What is subtracted before; 0 for most models.
    public let shift: Float
  }

  /// Numbers of a latent pixel, before packing.
  public let channels: Int
  /// How many pixels a latent pixel stands for, along each side.
  public let reduction: Int
  /// How many latent pixels, along each side, the denoiser takes together.
  public let packing: Int
  /// `nil` where no autoencoder says it.
  public let scaling: Scaling?

  /// Without packing and without a scaling, if they are not given.
  public init(channels: Int, reduction: Int, packing: Int = 1, scaling: Scaling? = nil) {
    (self.channels, self.reduction, self.packing, self.scaling) = (channels, reduction, packing, scaling)
  }

  /// The sides of pictures are multiples of so many pixels.
  public var pixelStep: Int { reduction * packing }

  /// The latents' height and width.
  ///
  /// - Parameter picture: its size in pixels.
  public func size(of picture: MapSize) -> MapSize {
    MapSize(height: picture.height / reduction, width: picture.width / reduction)
  }

  /// How many numbers the latents of a picture have.
  public func count(of picture: MapSize) -> Int { channels * size(of: picture).area }
}
