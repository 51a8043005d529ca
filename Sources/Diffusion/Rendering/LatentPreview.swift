public import Images
public import Kernels

/// Quick pictures of unfinished latents, by a TAESD.
public final class LatentPreview {
  private let decoder: TinyDecoder
  private let pool: MemoryPool
  // Layers refer to it without holding it.
  private let backend: any Backend

  /// - Parameters:
  ///   - path: of the TAESD's file.
  ///   - size: in pixels, of the pictures that it will mostly see.
  /// - Throws: `SafetensorsError`, `DiffusionError`.
  public init(path: String, expecting size: MapSize, threads: Int) throws {
    let backend: any Backend =
      NativeBackend.precisions.isEmpty ? ReferenceBackend() : NativeBackend(precision: .f32, threads: threads)
    pool = backend.pool
    decoder = try KernelThread.run {
      try TinyDecoder(
        path: path, backend: backend, expecting: MapSize(height: size.height / 8, width: size.width / 8))
    }
    self.backend = backend
  }

  /// - Parameters:
  ///   - latents: channels × height × width, as the observer of a `Renderer` sees them.
  ///   - size: of the picture in pixels.
  /// - Throws: `ImageError.notANumber`.
  public func picture(of latents: [Float], size: MapSize) throws -> RGBImage {
    try KernelThread.run {
      let map = FeatureMap(
        planar: latents, batch: 1, channels: 4, height: size.height / 8, width: size.width / 8, pool: pool)
      return try RGBImage(values: decoder(map).values, order: .interleaved, width: size.width, height: size.height)
    }
  }

  /// Whether a file whose tensors have these names holds a decoder of this kind.
  public static func isDecoder(_ names: Set<String>) -> Bool {
    TinyDecoder.spellings.contains { names.contains($0.prefix + "\($0.first).weight") }
  }
}
