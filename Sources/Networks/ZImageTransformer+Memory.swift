public import Checkpoints
public import Kernels

extension ZImageTransformer {
  /// What the transformer takes of memory, in bytes, from shapes alone: weights in the layouts that kernels read, and maps.
  ///
  /// - Parameters:
  ///   - latent: the size of the largest latents.
  ///   - samples: those of a step that are computed together.
  public static func memory(
    _ configuration: ZImageConfiguration, _ checkpoint: Checkpoint, latent: MapSize, samples: Int,
    precision: Precision, threads: Int
  ) -> Int {
    let usual = MapSize(height: 1, width: 1)
    // What stays in f32 for its accuracy beside the large products.
    func isExact(_ name: String) -> Bool {
      ["adaLN_modulation", "embedder", "all_final_layer"].contains { name.contains($0) }
    }
    let main = WeightMemory(checkpoint, .denoiser, precision: precision).bytes { name in
      isExact(name) ? nil : WeightMemory.Place(size: usual)
    }
    let exact = WeightMemory(checkpoint, .denoiser).bytes { name in
      isExact(name) ? WeightMemory.Place(size: usual) : nil
    }
    return main + exact + maps(configuration, latent, samples: samples, precision) + WeightMemory.scratch * threads
  }

  /// The longest text that is expected: most have far fewer.
  private static let usualText = 512

  private static func maps(
    _ configuration: ZImageConfiguration, _ latent: MapSize, samples: Int, _ precision: Precision
  ) -> Int {
    let tokens = samples * (filled(latent.area / 4) + usualText), operand = precision == .f32 ? 4 : 2
    // The stream and what is added to it in f32; beside them either the gated layer with its two parts and their product, or
    // queries, keys, values, the first two once more as they are turned, keys and values as they are packed, and the result.
    let stream = 2 * 4 * configuration.channels
    let gated = operand * (configuration.channels + 3 * configuration.hiddenChannels)
    let attention = operand * 9 * configuration.channels
    // Maps of other sizes that earlier parts have left are about as large as the stream.
    return tokens * (2 * stream + max(gated, attention))
  }
}
