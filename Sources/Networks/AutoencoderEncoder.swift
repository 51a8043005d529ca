public import Checkpoints
import Foundation
public import Kernels

/// From pictures to latents: the encoder of a Stable Diffusion autoencoder (AutoencoderKL).
public final class AutoencoderEncoder {
  private struct Level {
    let resnets: [ResnetBlock]
    let downsampler: (any Convolution)?
  }

  /// The measures that its weights were read by.
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
