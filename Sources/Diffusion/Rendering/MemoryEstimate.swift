public import Checkpoints
public import Kernels

/// What rendering takes of the machine's memory, from shapes alone: weights in the layouts that kernels read, and maps.
///
/// Texts, steps and decoding follow one another, and each gives back what it had; the largest counts. Files are mapped,
/// and what the system caches of them is not counted.
public struct MemoryEstimate: Sendable, Equatable {
  /// Bytes while texts are read, steps are taken, and pictures are decoded.
  public private(set) var texts = 0
  public private(set) var steps = 0
  public private(set) var decoding = 0

  public var peak: Int { max(texts, steps, decoding) }

  /// - Parameters:
  ///   - decoder: where the autoencoder's weights are; `nil` for a TAESD.
  ///   - size: of the largest picture, in pixels.
  ///   - isGuided: whether each step sees two samples.
  public init(
    _ model: PictureModel, _ checkpoint: Checkpoint, decoder: Checkpoint?, size: MapSize, isGuided: Bool,
    precision: Precision, threads: Int
  ) {
    for component in PictureModel.encoders.prefix(model.textEncoders.count) {
      texts += 4 * Self.elements(checkpoint, component)
    }
    let reduction = model.reduction
    let latent = MapSize(height: size.height / reduction, width: size.width / reduction)
    steps =
      Self.unetWeights(model.unet, checkpoint, latent, precision)
      + Self.unetMaps(model.unet, latent, batch: isGuided ? 2 : 1, precision) + Self.scratch * threads
    if let decoder {
      decoding = Self.decoderWeights(decoder, latent) + Self.decoderMaps(decoder, size) + Self.scratch * threads
    } else {
      decoding = 6 * 64 * 4 * size.height * size.width + Self.scratch * threads
    }
  }

  /// What a thread's tiles of a transformed convolution take.
  private static let scratch = 4 << 20

  private static func elements(_ checkpoint: Checkpoint, _ component: Component) -> Int {
    checkpoint.names(of: component).reduce(0) {
      $0 + (checkpoint.weight(named: WeightName(component, $1))?.shape.elementCount ?? 0)
    }
  }

  // MARK: Weights

  private static func unetWeights(
    _ unet: UNetConfiguration, _ checkpoint: Checkpoint, _ latent: MapSize, _ precision: Precision
  ) -> Int {
    let last = unet.channels.count - 1
    return checkpoint.names(of: .denoiser).reduce(0) { sum, name in
      guard let shape = checkpoint.weight(named: WeightName(.denoiser, name))?.shape.extents else { return sum }
      let parts = name.split(separator: "."), index = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
      var level = 0
      switch parts[0] {
      case "down_blocks": level = index
      case "up_blocks": level = last - index
      case "mid_block": level = last
      default: break
      }
      let isUpsampler = name.contains("upsamplers")
      if isUpsampler { level -= 1 }
      let extent = (0..<max(level, 0)).reduce(latent) { size, _ in size.halved }
      let isHalving = name.contains("downsamplers")
      return sum + bytes(shape, extent, isHalving: isHalving, enlarges: isUpsampler, precision)
    }
  }

  private static func decoderWeights(_ checkpoint: Checkpoint, _ latent: MapSize) -> Int {
    checkpoint.names(of: .vae).filter { !$0.hasPrefix("encoder.") }.reduce(0) { sum, name in
      guard let shape = checkpoint.weight(named: WeightName(.vae, name))?.shape.extents else { return sum }
      let parts = name.split(separator: "."), isUpsampler = name.contains("upsamplers")
      let level = parts.count > 2 && parts[1] == "up_blocks" ? (Int(parts[2]) ?? 0) + (isUpsampler ? 1 : 0) : 0
      let extent = (0..<level).reduce(latent) { size, _ in size.doubled }
      return sum + bytes(shape, extent, isHalving: false, enlarges: isUpsampler, .f32)
    }
  }

  /// A weight as kernels keep it: convolutions with a kernel on large maps as transformed tiles, in f32.
  private static func bytes(
    _ shape: [Int], _ extent: MapSize, isHalving: Bool, enlarges: Bool, _ precision: Precision
  ) -> Int {
    let elements = shape.reduce(1, *)
    guard shape.count > 1 else { return 4 * elements }
    let isKernel = shape.count == 4 && Array(shape[2...]) == [3, 3] && !isHalving
    if isKernel, NativeBackend.transforms(shape, extent, precision) {
      return pooled(4 * elements * (enlarges ? 25 : 36) / 9)
    }
    return pooled((precision == .f32 ? 4 : 2) * elements * (isKernel && enlarges ? 16 : 9) / 9)
  }

  /// Large pieces of a pool's memory are whole huge pages.
  private static func pooled(_ bytes: Int) -> Int {
    let page = 2 << 20
    return bytes < page ? bytes : (bytes + page - 1) / page * page
  }

  // MARK: Maps

  private static func unetMaps(_ unet: UNetConfiguration, _ latent: MapSize, batch: Int, _ precision: Precision) -> Int
  {
    var skips = 0, largest = 0, extent = latent
    for (level, channels) in unet.channels.enumerated() {
      let map = 4 * batch * extent.height * extent.width * channels
      skips += map * (unet.resnetsPerLevel[level] + 1)
      // A gated layer has eight times the channels before the gate and four times behind it, beside the map and its norm;
      // a block on the way up has its own channels and as many of the way down.
      let attends = unet.depths[level] > 0 || unet.upDepths[unet.channels.count - 1 - level] > 0
      largest = max(largest, attends ? (precision == .f32 ? 14 : 8) * map : 7 * map)
      extent = extent.halved
    }
    return skips + largest
  }

  private static func decoderMaps(_ checkpoint: Checkpoint, _ size: MapSize) -> Int {
    guard let configuration = try? AutoencoderConfiguration(of: checkpoint) else { return 0 }
    // The finest level begins with a map of the channels of the one below it, whose own maps stay in the pool.
    let channels = configuration.channels, wide = channels.count > 1 ? channels[1] : channels[0]
    return 4 * size.height * size.width * (2 * wide + 2 * channels[0])
  }
}
