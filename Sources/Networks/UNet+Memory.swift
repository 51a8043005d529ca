public import Checkpoints
public import Kernels

extension UNet {
  /// What a UNet takes of memory, in bytes, from shapes alone: weights in the layouts that kernels read, and maps.
  ///
  /// - Parameters:
  ///   - latent: the size of the largest latents.
  ///   - batch: the samples of a step.
  public static func memory(
    _ configuration: UNetConfiguration, _ checkpoint: Checkpoint, latent: MapSize, batch: Int, precision: Precision,
    threads: Int
  ) -> Int {
    weights(configuration, checkpoint, latent, precision) + maps(configuration, latent, batch: batch, precision)
      + WeightMemory.scratch * threads
  }

  private static func weights(
    _ configuration: UNetConfiguration, _ checkpoint: Checkpoint, _ latent: MapSize, _ precision: Precision
  ) -> Int {
    let last = configuration.channels.count - 1
    return WeightMemory(checkpoint, .denoiser, precision: precision).bytes { name in
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
      return WeightMemory.Place(size: extent, isHalving: name.contains("downsamplers"), enlarges: isUpsampler)
    }
  }

  private static func maps(
    _ configuration: UNetConfiguration, _ latent: MapSize, batch: Int, _ precision: Precision
  ) -> Int {
    var skips = 0, largest = 0, extent = latent
    for (level, channels) in configuration.channels.enumerated() {
      let map = 4 * batch * extent.area * channels
      skips += map * (configuration.resnetsPerLevel[level] + 1)
      // A gated layer has eight times the channels before the gate and four times behind it, beside the map and its norm, and
      // what earlier maps of other sizes have left; a block on the way up has its own channels and as many of the way down.
      let attends =
        configuration.depths[level] > 0 || configuration.upDepths[configuration.channels.count - 1 - level] > 0
      largest = max(largest, attends ? (precision == .f32 ? 18 : 10) * map : 7 * map)
      extent = extent.halved
    }
    return skips + largest
  }
}
