public import Checkpoints
import JSON
import Models

/// The measures of a picture's autoencoder, as `vae/config.json` has them.
public struct AutoencoderConfiguration: Sendable, Equatable {
  /// Channels of each level, from the finest to the coarsest.
  public var channels: [Int]
  /// Residual blocks of each level of the encoder; the decoder has one more.
  public var resnetsPerLevel = 2
  /// Numbers of a latent pixel.
  public var latentChannels = 4
  /// Groups of each group norm; every level's channels are a multiple.
  public var groups = 32
  /// What latents are multiplied with before the UNet sees them.
  public var scale: Float
  /// What is subtracted from latents before they are multiplied with `scale`.
  public var shift: Float = 0
  /// Whether the middle blocks have an attention.
  public var attends = true
  /// Whether the encoder's output goes through one more 1 × 1 convolution.
  public var hasQuantConvolution = true
  /// Whether latents go through a 1 × 1 convolution before the decoder.
  public var hasPostQuantConvolution = true

  /// How many pixels a latent pixel stands for, along each side.
  public var reduction: Int { 1 << (channels.count - 1) }

  /// The measures of a checkpoint's autoencoder: from the configuration of its folder, or from its shapes.
  ///
  /// - Throws: `NetworkError`, `CheckpointError`.
  public init(of checkpoint: Checkpoint) throws {
    for name in ["vae/config.json", "config.json"] {
      guard let fields = try checkpoint.configuration(name) else { continue }
      let file = "\(checkpoint.folder)/\(name)"
      try self.init(fields, file: file)
      try check(file: file)
      return
    }
    try self.init(detecting: checkpoint)
    try check(file: checkpoint.path)
  }

  /// - Throws: `NetworkError` for numbers that fit no autoencoder, or not each other.
  private func check(file: String) throws(NetworkError) {
    try NetworkMeasures.checkLevels(channels, "block_out_channels", file: file)
    try NetworkMeasures.checkCounts([resnetsPerLevel], "layers_per_block", file: file)
    try NetworkMeasures.check(channels, areMultiplesOf: groups, "norm_num_groups", file: file)
    guard scale.isFinite, scale != 0, shift.isFinite else {
      throw NetworkError(
        .configuration(field: "scaling_factor", expected: "a number other than 0", found: "\(scale)"), file: file)
    }
  }

  init(_ fields: [String: JSONValue], file: String) throws {
    let reader = ConfigurationReader(fields, file: file)
    if fields["_class_name"] != nil { try reader.expect("_class_name", "AutoencoderKL") }
    try reader.expect("act_fn", "silu")
    if fields["down_block_types"] != nil { try reader.expect("down_block_types", among: ["DownEncoderBlock2D"]) }
    if fields["up_block_types"] != nil { try reader.expect("up_block_types", among: ["UpDecoderBlock2D"]) }
    for name in ["latents_mean", "latents_std"] { try reader.expectNothing(name) }
    channels = try reader.integers("block_out_channels")
    resnetsPerLevel = try reader.integer("layers_per_block", default: 1)
    latentChannels = try reader.integer("latent_channels", default: 4)
    groups = try reader.integer("norm_num_groups", default: 32)
    scale = Float(try reader.number("scaling_factor", default: 0.18215))
    shift = Float(try reader.number("shift_factor", default: 0))
    attends = try reader.bool("mid_block_add_attention", default: true)
    hasQuantConvolution = try reader.bool("use_quant_conv", default: true)
    hasPostQuantConvolution = try reader.bool("use_post_quant_conv", default: true)
  }

  /// Reads the measures from shapes; the scale is the family's.
  init(detecting checkpoint: Checkpoint) throws {
    let shapes = WeightShapes(checkpoint, .vae), levels = shapes.count("decoder.up_blocks.*.resnets.0.conv1.weight")
    guard levels > 0, let input = shapes["decoder.conv_in.weight"], input.count == 4 else {
      throw NetworkError(.noAutoencoder, file: checkpoint.path)
    }
    channels = (0..<levels).reversed().map { shapes["decoder.up_blocks.\($0).resnets.0.conv1.weight"]?.first ?? 0 }
    resnetsPerLevel = shapes.count("decoder.up_blocks.0.resnets.*.conv1.weight") - 1
    latentChannels = input[1]
    groups = UNetConfiguration.usualGroups(channels)
    scale = Float(checkpoint.family.latentScale ?? 0.18215)
    attends = shapes["decoder.mid_block.attentions.0.to_q.weight"] != nil
    hasQuantConvolution = shapes["quant_conv.weight"] != nil
    hasPostQuantConvolution = shapes["post_quant_conv.weight"] != nil
  }
}
