public import Checkpoints
public import Kernels

/// From latents to pictures: the decoder of a Stable Diffusion autoencoder (AutoencoderKL).
public final class AutoencoderDecoder {
  private struct Level {
    let resnets: [ResnetBlock]
    let upsampler: Upsampler?
  }

  /// The measures that its weights were read by.
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
