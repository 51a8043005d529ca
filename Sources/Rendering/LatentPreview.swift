public import Images
public import Kernels
import Networks

/// Quick pictures of unfinished latents, by a TAESD.
public final class LatentPreview {
  private let decoder: PictureDecoder
  // Layers refer to it without holding it.
  private let backend: any Backend

  /// How many pixels a latent pixel stands for, along each side.
  public static var reduction: Int { TinyDecoder.reduction }

  /// Numbers of a latent pixel.
  public static var channels: Int { TinyDecoder.latentChannels }

  /// - Parameters:
  ///   - path: of the TAESD's file.
  ///   - size: in pixels, of the pictures that it will mostly see.
  /// - Throws: `FileError`, `SafetensorsError`, `RenderingError`.
  public init(path: String, expecting size: MapSize, threads: Int) throws {
    let backend = Backends(precision: .f32, threads: threads).exact
    decoder = try RenderingError.ofNetworks {
      try KernelThread.run { try PictureDecoder(tiny: path, backend: backend, expecting: size) }
    }
    self.backend = backend
  }

  /// - Parameters:
  ///   - latents: channels × height × width, as the observer of a `Renderer` sees them.
  ///   - size: of the picture in pixels.
  /// - Throws: `ImageError.notANumber`.
  public func picture(of latents: [Float], size: MapSize) throws -> RGBImage {
    try KernelThread.run { try decoder.picture(of: latents, size: size) }
  }

  /// Whether a file whose tensors have these names holds a decoder of this kind.
  public static func isDecoder(_ names: Set<String>) -> Bool {
    TinyDecoder.isDecoder(names)
  }
}
