public import Checkpoints
import JSON

/// The measures of a denoising UNet, as `unet/config.json` of a diffusers folder has them.
public struct UNetConfiguration: Sendable, Equatable {
  /// Numbers of a latent pixel.
  public var inputChannels = 4
  /// Numbers of a predicted pixel; as many as of a latent one.
  public var outputChannels = 4
  /// Channels of each level, from the finest to the coarsest.
  public var channels: [Int]
  /// Residual blocks of each level on the way down, as `channels`; on the way up there is one more.
  public var resnetsPerLevel: [Int]
  /// Transformer blocks of each attention, for each level; 0 for levels without.
  public var depths: [Int]
  /// As `depths` for the way up, from the coarsest level to the finest.
  public var upDepths: [Int]
  /// Transformer blocks between the ways down and up.
  public var middleDepth: Int
  /// Heads of each level's attentions.
  public var heads: [Int]
  /// Features of a text's token (`cross_attention_dim`).
  public var contextChannels: Int
  /// Groups of each group norm; every level's channels are a multiple.
  public var groups = 32
  /// Channels of each number of the size conditioning, and of all that is added to the time embedding; SDXL only.
  public var sizeChannels: Int?
  /// Inputs of the projection beside the time embedding: the text's summary and all numbers of the size; SDXL only.
  public var addedChannels: Int?
  /// Channels of the guidance embedding; distilled models only.
  public var guidanceChannels: Int?

  /// Width of the time embedding that all blocks read.
  public var timeChannels: Int { 4 * channels[0] }
}

extension UNetConfiguration {
  /// Where a diffusers folder has the configuration.
  private static let name = "unet/config.json"

  /// The measures of a checkpoint's UNet: from the configuration of its folder, or from its shapes. Not checked yet.
  ///
  /// - Throws: `NetworkError`, `CheckpointError`.
  public init(of checkpoint: Checkpoint) throws {
    if let fields = try checkpoint.configuration(Self.name) {
      try self.init(fields, file: "\(checkpoint.path)/\(Self.name)")
    } else {
      try self.init(detecting: checkpoint)
    }
  }

  /// The file that has the measures, for messages.
  public static func source(in checkpoint: Checkpoint) throws -> String {
    try checkpoint.configuration(name) == nil ? checkpoint.path : "\(checkpoint.path)/\(name)"
  }

  /// The side of the latents that the UNet was trained with, where its configuration says it.
  ///
  /// - Throws: `NetworkError` for what is no number.
  public static func trainedSide(in checkpoint: Checkpoint) throws -> Int? {
    // Some files have a list here, which means nothing for these models.
    guard let fields = try checkpoint.configuration(name), fields["sample_size"]?.array == nil else { return nil }
    return try ConfigurationReader(fields, file: "\(checkpoint.path)/\(name)").optionalInteger("sample_size")
  }

  /// - Throws: `NetworkError` for what is not a UNet of this kind.
  init(_ fields: [String: JSONValue], file: String) throws {
    let reader = ConfigurationReader(fields, file: file)
    try reader.expect("down_block_types", among: ["DownBlock2D", "CrossAttnDownBlock2D"])
    try reader.expect("up_block_types", among: ["UpBlock2D", "CrossAttnUpBlock2D"])
    for (name, usual) in [
      ("act_fn", "silu"), ("mid_block_type", "UNetMidBlock2DCrossAttn"), ("resnet_time_scale_shift", "default"),
      ("time_embedding_type", "positional"), ("attention_type", "default"),
    ] {
      try reader.expect(name, usual)
    }
    for (name, usual) in [
      ("norm_eps", 1e-5), ("freq_shift", 0), ("conv_in_kernel", 3), ("conv_out_kernel", 3), ("downsample_padding", 1),
      ("mid_block_scale_factor", 1), ("resnet_out_scale_factor", 1),
    ] {
      try reader.expect(name, usual)
    }
    for (name, usual) in [
      ("flip_sin_to_cos", true), ("center_input_sample", false), ("only_cross_attention", false),
      ("mid_block_only_cross_attention", false), ("dual_cross_attention", false), ("resnet_skip_time_act", false),
      ("class_embeddings_concat", false),
    ] {
      try reader.expect(name, usual)
    }
    for name in [
      "class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type", "cross_attention_norm",
      "time_embedding_dim", "time_embedding_act_fn", "timestep_post_act", "reverse_transformer_layers_per_block",
    ] {
      try reader.expectNothing(name)
    }
    channels = try reader.integers("block_out_channels")
    let levels = channels.count
    resnetsPerLevel = try reader.integers("layers_per_block", count: levels, default: 2)
    // The key holds the number of heads, whatever its name says.
    heads = try reader.integers(
      fields["num_attention_heads"].map { $0 == .null } ?? true ? "attention_head_dim" : "num_attention_heads",
      count: levels, default: 8)
    let depths = try reader.integers("transformer_layers_per_block", count: levels, default: 1)
    let attends = reader.strings("down_block_types").map { $0.hasPrefix("CrossAttn") }
    let attendsUp = reader.strings("up_block_types").map { $0.hasPrefix("CrossAttn") }
    guard attends.count == levels, attendsUp.count == levels else {
      throw NetworkError(
        .configuration(field: "down_block_types", expected: "\(levels) levels", found: "\(attends.count)"), file: file)
    }
    self.depths = zip(depths, attends).map { $1 ? $0 : 0 }
    upDepths = zip(depths.reversed(), attendsUp).map { $1 ? $0 : 0 }
    middleDepth = depths.last!
    contextChannels = try reader.integer("cross_attention_dim", default: 1280)
    groups = try reader.integer("norm_num_groups", default: 32)
    inputChannels = try reader.integer("in_channels", default: 4)
    outputChannels = try reader.integer("out_channels", default: 4)
    guidanceChannels = try reader.optionalInteger("time_cond_proj_dim")
    if let kind = fields["addition_embed_type"], kind != .null {
      try reader.expect("addition_embed_type", "text_time")
      sizeChannels = try reader.integer("addition_time_embed_dim", default: 256)
      addedChannels = try reader.integer("projection_class_embeddings_input_dim", default: 2816)
    }
  }

  /// Reads the measures from the names and shapes of a checkpoint's weights.
  ///
  /// The number of heads cannot be seen there. Where the transformers' ends are 1 × 1 convolutions it is 8, as in SD1, and
  /// less in models so small that heads would have fewer than 32 channels; otherwise each head has 64 channels, as in SD2
  /// and SDXL. Nor can the number of norm groups: see `usualGroups`.
  init(detecting checkpoint: Checkpoint) throws {
    let shapes = WeightShapes(checkpoint, .denoiser)
    let levels = shapes.count("down_blocks.*.resnets.0.conv1.weight")
    guard levels > 0, let first = shapes["conv_in.weight"], first.count == 4 else {
      throw NetworkError(
        .missing("a UNet", hint: "only Stable Diffusion 1, 2 and XL and Z-Image can be rendered"), file: checkpoint.path
      )
    }
    inputChannels = first[1]
    outputChannels = shapes["conv_out.weight"]?.first ?? 4
    channels = (0..<levels).map { shapes["down_blocks.\($0).resnets.0.conv1.weight"]?.first ?? 0 }
    resnetsPerLevel = (0..<levels).map { shapes.count("down_blocks.\($0).resnets.*.conv1.weight") }
    func depth(_ block: String) -> Int { shapes.count("\(block).attentions.0.transformer_blocks.*.norm1.weight") }
    depths = (0..<levels).map { depth("down_blocks.\($0)") }
    upDepths = (0..<levels).map { depth("up_blocks.\($0)") }
    middleDepth = depth("mid_block")
    let middle = "mid_block.attentions.0"
    contextChannels = shapes["\(middle).transformer_blocks.0.attn2.to_k.weight"]?.last ?? 0
    let isConvolution = shapes["\(middle).proj_in.weight"]?.count == 4
    heads = channels.map { isConvolution ? min(8, max(1, $0 / 32)) : max(1, $0 / 64) }
    groups = Self.usualGroups(channels)
    guidanceChannels = shapes["time_embedding.cond_proj.weight"]?.last
    if let added = shapes["add_embedding.linear_1.weight"]?.last {
      addedChannels = added
      sizeChannels = 256
    }
  }

  /// - Throws: `NetworkError` for numbers that fit no UNet, or not each other.
  public func check(file: String) throws(NetworkError) {
    try NetworkMeasures.checkLevels(channels, "block_out_channels", file: file)
    try NetworkMeasures.checkCounts(resnetsPerLevel, "layers_per_block", file: file)
    try NetworkMeasures.checkCounts(depths + upDepths + [middleDepth], "transformer_layers_per_block", file: file)
    try NetworkMeasures.check(channels, areMultiplesOf: groups, "norm_num_groups", file: file)
    for level in channels.indices {
      let attends = depths[level] > 0 || upDepths[channels.count - 1 - level] > 0 || level == channels.count - 1
      if attends {
        try NetworkMeasures.check([channels[level]], areMultiplesOf: heads[level], "attention_head_dim", file: file)
      }
    }
    // Sines and cosines, half and half.
    for (field, width) in [
      ("block_out_channels", channels[0]), ("addition_time_embed_dim", sizeChannels ?? 2),
      ("time_cond_proj_dim", guidanceChannels ?? 4),
    ] {
      guard width > 0, width % 2 == 0, field != "time_cond_proj_dim" || width > 2 else {
        throw NetworkMeasures.failure(field, "an even number", [width], file)
      }
    }
    guard outputChannels == inputChannels else {
      throw NetworkMeasures.failure("out_channels", "\(inputChannels) as in_channels has it", [outputChannels], file)
    }
  }

  /// The groups that norms over layers of these widths usually have: 32, and fewer in small models, where each group
  /// keeps four channels.
  static func usualGroups(_ widths: [Int]) -> Int {
    [32, 16, 8, 4, 2].first { groups in widths.allSatisfy { $0 % groups == 0 && $0 / groups >= 4 } } ?? 1
  }
}
