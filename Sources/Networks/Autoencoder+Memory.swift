public import Checkpoints
public import Kernels

extension AutoencoderDecoder {
  /// What decoding takes of memory, in bytes, from shapes alone: weights in the layouts that kernels read, and maps.
  ///
  /// - Parameter latent: the size of the largest latents.
  public static func memory(_ checkpoint: Checkpoint, latent: MapSize, threads: Int) -> Int {
    weights(checkpoint, latent) + maps(checkpoint, latent) + WeightMemory.scratch * threads
  }

  private static func weights(_ checkpoint: Checkpoint, _ latent: MapSize) -> Int {
    WeightMemory(checkpoint, .vae).bytes { name in
      guard !name.hasPrefix("encoder.") else { return nil }
      let parts = name.split(separator: "."), isUpsampler = name.contains("upsamplers")
      let level = parts.count > 2 && parts[1] == "up_blocks" ? (Int(parts[2]) ?? 0) + (isUpsampler ? 1 : 0) : 0
      return WeightMemory.Place(size: (0..<level).reduce(latent) { size, _ in size.doubled }, enlarges: isUpsampler)
    }
  }

  private static func maps(_ checkpoint: Checkpoint, _ latent: MapSize) -> Int {
    guard let configuration = try? AutoencoderConfiguration(of: checkpoint) else { return 0 }
    let channels = Array(configuration.channels.reversed())
    // The attention has a norm, queries, keys and values, these two once more as they are multiplied, and the result.
    var extent = latent, input = channels[0], largest = 8 * AutoencoderMaps.map(channels[0], latent)
    var left = 0
    for (level, own) in channels.enumerated() {
      largest = max(largest, AutoencoderMaps.blocks(input, own, extent, beside: left))
      guard level < channels.count - 1 else { break }
      left = AutoencoderMaps.map(max(input, own), extent)
      largest = max(largest, left + AutoencoderMaps.map(own, extent.doubled))
      (input, extent) = (own, extent.doubled)
    }
    return largest + 4 * AutoencoderMaps.map(3, extent)
  }
}

extension AutoencoderEncoder {
  /// What encoding takes of memory, in bytes, from shapes alone: weights in the layouts that kernels read, and maps.
  ///
  /// - Parameter picture: the size of the largest picture.
  public static func memory(_ checkpoint: Checkpoint, picture: MapSize, threads: Int) -> Int {
    weights(checkpoint, picture) + maps(checkpoint, picture) + WeightMemory.scratch * threads
  }

  private static func weights(_ checkpoint: Checkpoint, _ picture: MapSize) -> Int {
    let memory = WeightMemory(checkpoint, .vae)
    let deepest = memory.names.compactMap { level(of: $0) }.max() ?? 0
    return memory.bytes { name in
      guard name.hasPrefix("encoder.") else { return nil }
      let level = name.hasPrefix("encoder.conv_in") ? 0 : level(of: name) ?? deepest
      return WeightMemory.Place(
        size: (0..<level).reduce(picture) { size, _ in size.halved }, isHalving: name.contains("downsamplers"))
    }
  }

  /// `nil` for what is not on the way down.
  private static func level(of name: String) -> Int? {
    let parts = name.split(separator: ".")
    return parts.count > 2 && parts[0] == "encoder" && parts[1] == "down_blocks" ? Int(parts[2]) : nil
  }

  private static func maps(_ checkpoint: Checkpoint, _ picture: MapSize) -> Int {
    guard let configuration = try? AutoencoderConfiguration(of: checkpoint) else { return 0 }
    var extent = picture, input = configuration.channels[0], largest = 0, left = 0
    for own in configuration.channels {
      largest = max(largest, AutoencoderMaps.blocks(input, own, extent, beside: left))
      left = AutoencoderMaps.map(own, extent)
      (input, extent) = (own, extent.halved)
    }
    return largest + 2 * AutoencoderMaps.map(3, picture)
  }
}

extension TinyDecoder {
  /// What decoding takes of memory, in bytes: six maps of the finest level at a time.
  ///
  /// - Parameter picture: the size of the largest picture.
  public static func memory(picture: MapSize, threads: Int) -> Int {
    6 * channels * 4 * picture.area + WeightMemory.scratch * threads
  }
}

/// What maps of autoencoders take of memory, in bytes.
private enum AutoencoderMaps {
  /// What the blocks of a level have at a time: their input, whose memory the result takes unless that is wider, and a map
  /// between their convolutions.
  ///
  /// - Parameter left: the memory of the map that was made larger or smaller for this level. It is free by now, and used again
  ///   for maps of its size and down to half of it.
  static func blocks(_ input: Int, _ own: Int, _ extent: MapSize, beside left: Int) -> Int {
    let between = map(own, extent), isUsed = between...2 * between ~= left
    return map(input, extent) + (own > input ? between : 0) + (isUsed ? left : between + left)
  }

  static func map(_ channels: Int, _ extent: MapSize) -> Int { 4 * extent.area * channels }
}
