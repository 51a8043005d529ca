public import Checkpoints
public import Kernels
import Models
import Tensors

/// What rendering takes of the machine's memory, from shapes alone: weights in the layouts that kernels read, and maps.
///
/// Texts, the first picture, steps and decoding follow one another, and each gives back what it had; the largest counts. Files
/// are mapped, and what the system caches of them is not counted.
public struct MemoryEstimate: Sendable, Equatable {
  /// Bytes while texts are read, a picture to start from is encoded, steps are taken, and pictures are decoded.
  public private(set) var texts = 0
  public private(set) var encoding = 0
  public private(set) var steps = 0
  public private(set) var decoding = 0

  /// The most that is needed at a time, with the program's own.
  public var peak: Int { max(texts, encoding, steps, decoding) + Self.program }

  /// Tokenizers, compiled kernels, lists of numbers.
  static let program = 96 << 20

  /// - Parameters:
  ///   - encoder: where the weights are that encode a picture to start from; `nil` where there is none.
  ///   - decoder: where the autoencoder's weights are; `nil` for a TAESD.
  ///   - size: of the largest picture, in pixels.
  ///   - isGuided: whether each step sees two samples.
  public init(
    _ model: PictureModel, _ checkpoint: Checkpoint, encoder: Checkpoint? = nil, decoder: Checkpoint?, size: MapSize,
    isGuided: Bool, precision: Precision, threads: Int
  ) {
    for component in PictureModel.encoders.prefix(model.textEncoders.count) {
      texts += 4 * Self.elements(checkpoint, component)
    }
    let reduction = model.reduction
    let latent = MapSize(height: size.height / reduction, width: size.width / reduction)
    steps =
      Self.unetWeights(model.unet, checkpoint, latent, precision)
      + Self.unetMaps(model.unet, latent, batch: isGuided ? 2 : 1, precision) + Self.scratch * threads
    if let encoder {
      encoding = Self.encoderWeights(encoder, size) + Self.encoderMaps(encoder, size) + Self.scratch * threads
    }
    if let decoder {
      decoding = Self.decoderWeights(decoder, latent) + Self.decoderMaps(decoder, latent) + Self.scratch * threads
    } else {
      decoding = 6 * 64 * 4 * size.height * size.width + Self.scratch * threads
    }
  }

  /// Throws where a limit on the process's addresses (`ulimit -v`) leaves less: kernels that find no memory end the process.
  ///
  /// - Parameter file: the checkpoint, for the message.
  public func requireAddresses(threads: Int, file: String) throws(DiffusionError) {
    // Threads have stacks and heaps of their own.
    let needed = peak + threads * 136 << 20
    if let free = AddressSpace.free, free < needed {
      throw DiffusionError(.addressSpace(needed: needed, free: free), file: file)
    }
  }

  /// What a thread's tiles of a transformed convolution take.
  private static let scratch = 8 << 20

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
    return checkpoint.names(of: .denoiser).reduce(arranging(checkpoint, .denoiser)) { sum, name in
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
    checkpoint.names(of: .vae).filter { !$0.hasPrefix("encoder.") }.reduce(arranging(checkpoint, .vae)) { sum, name in
      guard let shape = checkpoint.weight(named: WeightName(.vae, name))?.shape.extents else { return sum }
      let parts = name.split(separator: "."), isUpsampler = name.contains("upsamplers")
      let level = parts.count > 2 && parts[1] == "up_blocks" ? (Int(parts[2]) ?? 0) + (isUpsampler ? 1 : 0) : 0
      let extent = (0..<level).reduce(latent) { size, _ in size.doubled }
      return sum + bytes(shape, extent, isHalving: false, enlarges: isUpsampler, .f32)
    }
  }

  /// What lies free between weights while each is widened to f32 and put into the layout of its kernels, the first ones before
  /// they meet a map and know which it is: measured, for networks of the real sizes, as up to three of the largest.
  private static func arranging(_ checkpoint: Checkpoint, _ component: Component) -> Int {
    let kernels = checkpoint.names(of: component).compactMap {
      checkpoint.weight(named: WeightName(component, $0))?.shape.elementCount
    }
    return 3 * 4 * (kernels.max() ?? 0)
  }

  private static func encoderWeights(_ checkpoint: Checkpoint, _ picture: MapSize) -> Int {
    let names = checkpoint.names(of: .vae).filter { $0.hasPrefix("encoder.") }
    let deepest = names.compactMap { encoderLevel(of: $0) }.max() ?? 0
    return names.reduce(arranging(checkpoint, .vae)) { sum, name in
      guard let shape = checkpoint.weight(named: WeightName(.vae, name))?.shape.extents else { return sum }
      let level = name.hasPrefix("encoder.conv_in") ? 0 : encoderLevel(of: name) ?? deepest
      let extent = (0..<level).reduce(picture) { size, _ in size.halved }
      return sum + bytes(shape, extent, isHalving: name.contains("downsamplers"), enlarges: false, .f32)
    }
  }

  /// `nil` for what is not on the way down.
  private static func encoderLevel(of name: String) -> Int? {
    let parts = name.split(separator: ".")
    return parts.count > 2 && parts[1] == "down_blocks" ? Int(parts[2]) : nil
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
      // A gated layer has eight times the channels before the gate and four times behind it, beside the map and its norm, and
      // what earlier maps of other sizes have left; a block on the way up has its own channels and as many of the way down.
      let attends = unet.depths[level] > 0 || unet.upDepths[unet.channels.count - 1 - level] > 0
      largest = max(largest, attends ? (precision == .f32 ? 18 : 10) * map : 7 * map)
      extent = extent.halved
    }
    return skips + largest
  }

  private static func encoderMaps(_ checkpoint: Checkpoint, _ picture: MapSize) -> Int {
    guard let configuration = try? AutoencoderConfiguration(of: checkpoint) else { return 0 }
    var extent = picture, input = configuration.channels[0], largest = 0, left = 0
    for own in configuration.channels {
      largest = max(largest, blockMaps(input, own, extent, beside: left))
      left = map(own, extent)
      (input, extent) = (own, extent.halved)
    }
    return largest + 2 * map(3, picture)
  }

  private static func decoderMaps(_ checkpoint: Checkpoint, _ latent: MapSize) -> Int {
    guard let configuration = try? AutoencoderConfiguration(of: checkpoint) else { return 0 }
    let channels = Array(configuration.channels.reversed())
    // The attention has a norm, queries, keys and values, these two once more as they are multiplied, and the result.
    var extent = latent, input = channels[0], largest = 8 * map(channels[0], latent)
    var left = 0
    for (level, own) in channels.enumerated() {
      largest = max(largest, blockMaps(input, own, extent, beside: left))
      guard level < channels.count - 1 else { break }
      left = map(max(input, own), extent)
      largest = max(largest, left + map(own, extent.doubled))
      (input, extent) = (own, extent.doubled)
    }
    return largest + 4 * map(3, extent)
  }

  /// What the blocks of a level have at a time: their input, whose memory the result takes unless that is wider, and a map
  /// between their convolutions.
  ///
  /// - Parameter left: the memory of the map that was made larger or smaller for this level. It is free by now, and used again
  ///   for maps of its size and down to half of it.
  private static func blockMaps(_ input: Int, _ own: Int, _ extent: MapSize, beside left: Int) -> Int {
    let between = map(own, extent), isUsed = between...2 * between ~= left
    return map(input, extent) + (own > input ? between : 0) + (isUsed ? left : between + left)
  }

  private static func map(_ channels: Int, _ extent: MapSize) -> Int { 4 * extent.area * channels }
}
