public import Checkpoints
public import Kernels

/// The network that predicts the noise in a latent picture, of Stable Diffusion 1, 2 and XL.
///
/// Ronneberger et al. 2015, with the time and text conditioning of Rombach et al. 2022; wired as in diffusers.
public final class UNet {
  /// What a sample is conditioned on besides its text.
  public struct Condition: Sendable {
    /// The summary of the text; empty for models that take none.
    public var pooledText: [Float] = []
    /// Original height and width, top and left of the crop, target height and width, in pixels.
    public var sizes: [Float] = []
    /// The guidance strength that a distilled model is told.
    public var guidance: Float = 1

    /// Nothing, for models that are told neither sizes nor guidance.
    public init() {}
  }

  /// What the text gives to each attention: the same for all steps.
  public struct PreparedText { let texts: [FeatureMap] }

  /// What a time gives to each block, for one step.
  public struct PreparedTime { let offsets: [FeatureMap] }

  private struct Level {
    var resnets: [ResnetBlock] = []
    var transformers: [SpatialTransformer] = []
    var downsampler: (any Convolution)?
    var upsampler: Upsampler?
  }

  /// The measures that its weights were read by.
  public let configuration: UNetConfiguration
  private let backend: any Backend
  private let timeEmbedding: TimeEmbedding
  private let input: any Convolution
  private let down: [Level]
  private let middle: (ResnetBlock, SpatialTransformer, ResnetBlock)
  private let up: [Level]
  private let outputNorm: GroupNorm
  private let output: any Convolution
  /// In the order in which the blocks run.
  private var resnets: [ResnetBlock] {
    down.flatMap(\.resnets) + [middle.0, middle.2] + up.flatMap(\.resnets)
  }
  private var transformers: [SpatialTransformer] {
    down.flatMap(\.transformers) + [middle.1] + up.flatMap(\.transformers)
  }

  /// - Parameters:
  ///   - size: of the latent pictures that it will mostly see.
  ///   - tap: sees what goes into the layers.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public init(
    _ configuration: UNetConfiguration, weights: some WeightSource, backend: any Backend, expecting size: MapSize,
    tap: (any LayerTap)? = nil
  ) throws {
    self.configuration = configuration
    self.backend = backend
    let layers = LayerSource(weights, .denoiser, backend: backend, tap: tap), channels = configuration.channels
    let groups = configuration.groups, levels = channels.count
    func extent(of level: Int) -> MapSize { (0..<level).reduce(size) { size, _ in size.halved } }
    func resnet(_ layers: LayerSource, _ index: Int, _ inputs: Int, _ level: Int) throws -> ResnetBlock {
      try ResnetBlock(
        layers["resnets", index], inputs, channels[level], timeChannels: configuration.timeChannels, groups: groups,
        epsilon: 1e-5, size: extent(of: level))
    }
    func transformer(_ layers: LayerSource, _ index: Int, _ level: Int, depth: Int) throws -> SpatialTransformer {
      try SpatialTransformer(
        layers["attentions", index], channels[level], heads: configuration.heads[level], depth: depth,
        contextChannels: configuration.contextChannels, groups: groups)
    }

    timeEmbedding = try TimeEmbedding(layers, configuration)
    input = try layers.convolution(
      "conv_in", configuration.inputChannels, channels[0], precision: .f32, expecting: size)
    // The channels of all maps that the way up will take again.
    var skips = [channels[0]]
    down = try (0..<levels).map { level in
      let inner = layers["down_blocks", level]
      var result = Level()
      for index in 0..<configuration.resnetsPerLevel[level] {
        result.resnets.append(try resnet(inner, index, skips.last!, level))
        if configuration.depths[level] > 0 {
          result.transformers.append(try transformer(inner, index, level, depth: configuration.depths[level]))
        }
        skips.append(channels[level])
      }
      if level < levels - 1 {
        result.downsampler = try inner["downsamplers", 0].convolution(
          "conv", channels[level], channels[level], geometry: .halving, expecting: extent(of: level + 1))
        skips.append(channels[level])
      }
      return result
    }
    let last = levels - 1, inner = layers["mid_block"]
    middle = (
      try resnet(inner, 0, channels[last], last),
      try transformer(inner, 0, last, depth: configuration.middleDepth),
      try resnet(inner, 1, channels[last], last)
    )
    var current = channels[last]
    up = try (0..<levels).map { index in
      let level = last - index, inner = layers["up_blocks", index]
      var result = Level()
      for index in 0..<configuration.resnetsPerLevel[level] + 1 {
        result.resnets.append(try resnet(inner, index, current + skips.removeLast(), level))
        if configuration.upDepths[last - level] > 0 {
          result.transformers.append(try transformer(inner, index, level, depth: configuration.upDepths[last - level]))
        }
        current = channels[level]
      }
      if level > 0 {
        result.upsampler = try Upsampler(inner["upsamplers", 0], channels[level], size: extent(of: level - 1))
      }
      return result
    }
    outputNorm = try layers.groupNorm("conv_norm_out", channels[0], groups: groups, epsilon: 1e-5)
    output = try layers.convolution(
      "conv_out", channels[0], configuration.outputChannels, precision: .f32, expecting: size)
  }

  // MARK: What stays the same

  /// - Parameter text: the text encoder's features, batch × 1 × tokens × channels.
  public func prepare(text: FeatureMap) -> PreparedText {
    precondition(text.channels == configuration.contextChannels, "a text of \(text.channels) channels")
    return PreparedText(texts: transformers.flatMap { $0.blocks.map { $0.keyValue(of: text) } })
  }

  /// - Parameters:
  ///   - steps: for each step the time of each sample.
  ///   - conditions: of each sample.
  public func prepare(times steps: [[Float]], conditions: [Condition]) -> [PreparedTime] {
    let batch = conditions.count
    precondition(steps.allSatisfy { $0.count == batch }, "a time for each sample")
    let embedding = timeEmbedding(
      steps.flatMap { $0 }, conditions: steps.flatMap { _ in conditions })
    // steps·batch rows for each block.
    let offsets = resnets.compactMap { $0.timeProjection?(embedding, as: .f32) }
    return steps.indices.map { step in
      PreparedTime(offsets: offsets.map { $0.picked(rows: step * batch..<(step + 1) * batch, pool: backend.pool) })
    }
  }

  // MARK: One step

  /// The predicted noise (or velocity) in `latent`, batch × height × width × 4.
  ///
  /// - Parameter observer: is shown the output of each block under its name in diffusers' dialect.
  public func callAsFunction(
    _ latent: FeatureMap, time: PreparedTime, text: PreparedText, observer: ((String, FeatureMap) -> Void)? = nil
  ) -> FeatureMap {
    var offsets = time.offsets[...], texts = text.texts[...]
    func resnet(_ block: ResnetBlock, _ x: FeatureMap, _ name: @autoclosure () -> String) -> FeatureMap {
      var result = x
      block(&result, offset: offsets.removeFirst())
      observer?(name(), result)
      return result
    }
    func transformer(_ block: SpatialTransformer, _ x: FeatureMap, _ name: @autoclosure () -> String) -> FeatureMap {
      let result = block(x, texts: texts.prefix(block.blocks.count))
      texts.removeFirst(block.blocks.count)
      observer?(name(), result)
      return result
    }

    var x = input(latent, after: nil, enlargedTo: nil)
    observer?("conv_in", x)
    var skips = [x]
    for (index, level) in down.enumerated() {
      for (i, block) in level.resnets.enumerated() {
        x = resnet(block, x, "down_blocks.\(index).resnets.\(i)")
        if i < level.transformers.count {
          x = transformer(level.transformers[i], x, "down_blocks.\(index).attentions.\(i)")
        }
        skips.append(x)
      }
      if let downsampler = level.downsampler {
        x = downsampler(x, after: nil, enlargedTo: nil)
        observer?("down_blocks.\(index).downsamplers.0", x)
        skips.append(x)
      }
    }
    x = resnet(middle.0, x, "mid_block.resnets.0")
    x = transformer(middle.1, x, "mid_block.attentions.0")
    x = resnet(middle.2, x, "mid_block.resnets.1")
    for (index, level) in up.enumerated() {
      for (i, block) in level.resnets.enumerated() {
        x = resnet(block, backend.concatenated(x, skips.removeLast()), "up_blocks.\(index).resnets.\(i)")
        if i < level.transformers.count {
          x = transformer(level.transformers[i], x, "up_blocks.\(index).attentions.\(i)")
        }
      }
      if let upsampler = level.upsampler {
        // Odd sizes: the map must become as large as the one it will be joined with.
        x = upsampler(x, to: skips.last!.size)
        observer?("up_blocks.\(index).upsamplers.0", x)
      }
    }
    return output(x, after: outputNorm.factors(x), enlargedTo: nil)
  }
}
