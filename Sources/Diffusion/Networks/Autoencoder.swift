public import Checkpoints
import Foundation
public import Kernels

/// From latents to pictures: the decoder of a Stable Diffusion autoencoder (AutoencoderKL).
public final class AutoencoderDecoder {
  private struct Level {
    let resnets: [ResnetBlock]
    let upsampler: Upsampler?
  }

  public let configuration: AutoencoderConfiguration
  private let afterQuantisation: (any Linear)?
  private let input: any Convolution
  private let middle: AutoencoderMiddle
  private let levels: [Level]
  private let outputNorm: GroupNorm
  private let output: any Convolution
  private let backend: any Backend

  /// - Parameter size: of the latent pictures that it will mostly see.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public init(
    _ configuration: AutoencoderConfiguration, weights: some WeightSource, backend: any Backend,
    expecting size: MapSize
  ) throws {
    self.configuration = configuration
    self.backend = backend
    let all = LayerSource(weights, .vae, backend: backend), layers = all["decoder"]
    let channels = Array(configuration.channels.reversed()), groups = configuration.groups
    let latent = configuration.latentChannels
    afterQuantisation =
      configuration.hasPostQuantConvolution ? try all.linear("post_quant_conv", latent, latent, precision: .f32) : nil
    input = try layers.convolution("conv_in", latent, channels[0], precision: .f32, expecting: size)
    middle = try AutoencoderMiddle(layers["mid_block"], channels[0], configuration, size: size)
    var current = channels[0], size = size
    levels = try channels.indices.map { level in
      let inner = layers["up_blocks", level]
      let resnets = try inner.resnets(
        configuration.resnetsPerLevel + 1, current, channels[level], groups: groups, size: size)
      current = channels[level]
      guard level < channels.count - 1 else { return Level(resnets: resnets, upsampler: nil) }
      size = size.doubled
      return Level(resnets: resnets, upsampler: try Upsampler(inner["upsamplers", 0], current, size: size))
    }
    outputNorm = try layers.groupNorm("conv_norm_out", current, groups: groups, epsilon: 1e-6)
    output = try layers.convolution("conv_out", current, 3, precision: .f32, expecting: size)
  }

  /// - Parameters:
  ///   - latent: batch × height × width × latent channels, as the UNet has it.
  ///   - observer: is shown the output of each part under its name in diffusers' dialect.
  /// - Returns: pictures of [-1, 1], `reduction` times as high and wide, with 3 channels.
  public func callAsFunction(_ latent: FeatureMap, observer: ((String, FeatureMap) -> Void)? = nil) -> FeatureMap {
    // An earlier picture's largest maps are of no use at the beginning.
    backend.pool.trim()
    let scale = 1 / configuration.scale, shift = configuration.shift
    var x = latent.mapped(pool: backend.pool) { $0 * scale + shift }
    x = input(afterQuantisation.map { $0(x, as: .f32) } ?? x, after: nil, enlargedTo: nil)
    observer?("decoder.conv_in", x)
    middle(&x)
    observer?("decoder.mid_block", x)
    for (index, level) in levels.enumerated() {
      for block in level.resnets { block(&x) }
      if let upsampler = level.upsampler {
        // What these blocks have left is of no use for the larger maps to come, and would lie beside them.
        backend.pool.trim()
        x = upsampler(x, to: x.size.doubled)
      }
      observer?("decoder.up_blocks.\(index)", x)
    }
    return output(x, after: outputNorm.factors(x), enlargedTo: nil)
  }
}

/// From pictures to latents: the encoder of a Stable Diffusion autoencoder (AutoencoderKL).
public final class AutoencoderEncoder {
  private struct Level {
    let resnets: [ResnetBlock]
    let downsampler: (any Convolution)?
  }

  public let configuration: AutoencoderConfiguration
  private let input: any Convolution
  private let levels: [Level]
  private let middle: AutoencoderMiddle
  private let outputNorm: GroupNorm
  private let output: any Convolution
  private let quantisation: (any Linear)?
  private let backend: any Backend

  /// - Parameter size: of the pictures that it will mostly see.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public init(
    _ configuration: AutoencoderConfiguration, weights: some WeightSource, backend: any Backend,
    expecting size: MapSize
  ) throws {
    self.configuration = configuration
    self.backend = backend
    let all = LayerSource(weights, .vae, backend: backend), layers = all["encoder"]
    let channels = configuration.channels, groups = configuration.groups
    input = try layers.convolution("conv_in", 3, channels[0], precision: .f32, expecting: size)
    var current = channels[0], size = size
    levels = try channels.indices.map { level in
      let inner = layers["down_blocks", level]
      let resnets = try inner.resnets(
        configuration.resnetsPerLevel, current, channels[level], groups: groups, size: size)
      current = channels[level]
      guard level < channels.count - 1 else { return Level(resnets: resnets, downsampler: nil) }
      size = MapSize(height: size.height / 2, width: size.width / 2)
      return Level(
        resnets: resnets,
        downsampler: try inner["downsamplers", 0].convolution(
          "conv", current, current, geometry: .halvingAtEnd, expecting: size))
    }
    middle = try AutoencoderMiddle(layers["mid_block"], current, configuration, size: size)
    outputNorm = try layers.groupNorm("conv_norm_out", current, groups: groups, epsilon: 1e-6)
    let moments = 2 * configuration.latentChannels
    output = try layers.convolution("conv_out", current, moments, precision: .f32, expecting: size)
    quantisation =
      configuration.hasQuantConvolution ? try all.linear("quant_conv", moments, moments, precision: .f32) : nil
  }

  /// The distribution of latents, unscaled: means, then logarithms of variances, in the channels.
  ///
  /// - Parameter picture: of [-1, 1], batch × height × width × 3.
  public func moments(of picture: FeatureMap) -> FeatureMap {
    var x = input(picture, after: nil, enlargedTo: nil)
    for level in levels {
      for block in level.resnets { block(&x) }
      if let downsampler = level.downsampler {
        backend.pool.trim()
        x = downsampler(x, after: nil, enlargedTo: nil)
      }
    }
    middle(&x)
    x = output(x, after: outputNorm.factors(x), enlargedTo: nil)
    return quantisation.map { $0(x, as: .f32) } ?? x
  }

  /// Latents as the UNet has them, batch × height × width × latent channels.
  ///
  /// - Parameter noise: normal numbers in the order batch, channels, height, width; `nil` for the means.
  public func latents(of picture: FeatureMap, noise: [Float]?) -> FeatureMap {
    let moments = moments(of: picture), channels = configuration.latentChannels
    let values = moments.planarValues, pixels = moments.pixels
    let latents = (0..<moments.batch * channels * pixels).map { i -> Float in
      let sample = i / (channels * pixels), mean = values[i + sample * channels * pixels]
      let logarithm = min(max(values[i + (sample + 1) * channels * pixels], -30), 20)
      let value = noise.map { mean + exp(0.5 * logarithm) * $0[i] } ?? mean
      return (value - configuration.shift) * configuration.scale
    }
    return FeatureMap(
      planar: latents, batch: moments.batch, channels: channels, height: moments.height, width: moments.width,
      pool: backend.pool)
  }
}

/// A block, attention of all pixels with one head, and a block.
struct AutoencoderMiddle {
  private let first: ResnetBlock
  private let attention: Attention?
  private let second: ResnetBlock

  init(_ layers: LayerSource, _ channels: Int, _ configuration: AutoencoderConfiguration, size: MapSize) throws {
    func block(_ index: Int) throws -> ResnetBlock {
      try ResnetBlock(
        layers["resnets", index], channels, channels, timeChannels: nil, groups: configuration.groups, epsilon: 1e-6,
        size: size)
    }
    first = try block(0)
    attention =
      configuration.attends
      ? try Attention(layers["attentions", 0], channels, groups: configuration.groups) : nil
    second = try block(1)
  }

  func callAsFunction(_ x: inout FeatureMap) {
    first(&x)
    attention?(&x)
    second(&x)
  }

  struct Attention {
    private let norm: GroupNorm
    private let queryKeyValue: any Linear
    private let output: any Linear
    private let channels: Int
    private let backend: any Backend

    init(_ layers: LayerSource, _ channels: Int, groups: Int) throws {
      self.channels = channels
      backend = layers.backend
      norm = try layers.groupNorm("group_norm", channels, groups: groups, epsilon: 1e-6)
      queryKeyValue = try layers.linear(joining: ["to_q", "to_k", "to_v"], channels, channels, bias: true)
      output = try layers.linear("to_out.0", channels, channels)
    }

    func callAsFunction(_ x: inout FeatureMap) {
      let normal = backend.normalized(x, by: norm.factors(x, then: .identity), as: backend.operand)
      let own = queryKeyValue(normal, as: backend.operand)
      output.add(
        backend.attention(
          own[channels: 0..<channels], own[channels: channels..<2 * channels],
          own[channels: 2 * channels..<3 * channels], heads: 1, isCausal: false), to: &x)
    }
  }
}

extension LayerSource {
  /// Blocks without a time, one after the other; only the first may change the number of channels.
  fileprivate func resnets(
    _ count: Int, _ inputs: Int, _ outputs: Int, groups: Int, size: MapSize
  ) throws -> [ResnetBlock] {
    try (0..<count).map {
      try ResnetBlock(
        self["resnets", $0], $0 == 0 ? inputs : outputs, outputs, timeChannels: nil, groups: groups, epsilon: 1e-6,
        size: size)
    }
  }
}
