import Checkpoints
import JSON
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Networks

/// Measures from JSON and from shapes, for networks of the real sizes whose weights nobody has to load.
@Suite struct ConfigurationTests {
  /// A real model's `unet/config.json`, as far as it matters.
  struct Model: Sendable, CustomStringConvertible {
    let name: String
    let json: String
    /// Of the UNet, as published.
    let parameters: Int
    var description: String { name }
  }

  static let sd1 = Model(
    name: "SD1",
    json: """
      {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 8,
       "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768,
       "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
       "in_channels": 4, "layers_per_block": 2, "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4,
       "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}
      """, parameters: 859_520_964)
  static let sd2 = Model(
    name: "SD2",
    json: """
      {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": [5, 10, 20, 20],
       "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 1024, "dual_cross_attention": false,
       "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
       "in_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 4, "num_class_embeds": null,
       "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
       "upcast_attention": true, "use_linear_projection": true}
      """, parameters: 865_910_724)
  static let sdxl = Model(
    name: "SDXL",
    json: """
      {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "addition_embed_type": "text_time",
       "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20], "block_out_channels": [320, 640, 1280],
       "cross_attention_dim": 2048,
       "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], "in_channels": 4,
       "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 4, "projection_class_embeddings_input_dim": 2816,
       "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": true,
       "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]}
      """, parameters: 2_567_463_684)

  private func fields(_ json: String) throws -> [String: JSONValue] { try #require(JSONValue(parsing: json)?.object) }

  private let size = MapSize(height: 64, width: 64)

  /// The transformers' ends are asked for as matrices; SD1's files have 1 × 1 convolutions there.
  private func stored(_ weights: RecordedWeights, hasConvolutions: Bool) -> [(name: String, shape: [Int])] {
    weights.names(of: .denoiser).map { name, shape in
      let isEnd = name.hasSuffix("proj_in.weight") || name.hasSuffix("proj_out.weight")
      return (name, isEnd && hasConvolutions ? shape + [1, 1] : shape)
    }
  }

  @Test("a UNet has the published number of weights, and its shapes tell its measures", arguments: [sd1, sd2, sdxl])
  func unets(_ model: Model) throws {
    let configuration = try UNetConfiguration(fields(model.json), file: "config.json")
    let weights = RecordedWeights(), folder = try TemporaryFolder()
    try KernelThread.run {
      _ = try UNet(configuration, weights: weights, backend: WeightlessBackend(), expecting: size)
    }
    #expect(weights.count == model.parameters)
    try writeHoles(stored(weights, hasConvolutions: configuration.heads[0] == 8), to: folder.file("unet.safetensors"))
    #expect(try UNetConfiguration(detecting: Checkpoint(path: folder.file("unet.safetensors"))) == configuration)
  }

  @Test("a distilled UNet's guidance is seen in its shapes")
  func guidance() throws {
    var fields = try fields(Self.sd1.json)
    fields["time_cond_proj_dim"] = .int(256)
    let configuration = try UNetConfiguration(fields, file: "config.json")
    #expect(configuration.guidanceChannels == 256)
    let weights = RecordedWeights(), folder = try TemporaryFolder()
    try KernelThread.run {
      _ = try UNet(configuration, weights: weights, backend: WeightlessBackend(), expecting: size)
    }
    try writeHoles(stored(weights, hasConvolutions: configuration.heads[0] == 8), to: folder.file("unet.safetensors"))
    #expect(try UNetConfiguration(detecting: Checkpoint(path: folder.file("unet.safetensors"))) == configuration)
  }

  @Test(
    "an autoencoder has the published number of weights, and its shapes tell its measures",
    arguments: [0.18215, 0.13025])
  func autoencoders(_ scale: Double) throws {
    let configuration = try AutoencoderConfiguration(
      fields(
        """
        {"_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [128, 256, 512, 512],
         "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "scaling_factor": \(scale)}
        """), file: "config.json")
    let decoder = RecordedWeights(), encoder = RecordedWeights(), folder = try TemporaryFolder()
    try KernelThread.run {
      let backend = WeightlessBackend()
      _ = try AutoencoderDecoder(configuration, weights: decoder, backend: backend, expecting: size)
      _ = try AutoencoderEncoder(configuration, weights: encoder, backend: backend, expecting: size)
    }
    // With post_quant_conv's 20 and quant_conv's 72.
    #expect(decoder.count == 49_490_179 + 20)
    #expect(encoder.count == 34_163_592 + 72)
    // The scale cannot be seen in the autoencoder: the UNet beside it tells the family.
    let sign = scale == 0.13025 ? 2048 : 768
    try writeHoles(
      (decoder.names(of: .vae) + encoder.names(of: .vae)).map { ("vae." + $0.name, $0.shape) } + [
        ("model.diffusion_model.input_blocks.0.0.weight", [320, 4, 3, 3]),
        ("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [640, sign]),
      ], to: folder.file("all.safetensors"))
    #expect(try AutoencoderConfiguration(detecting: Checkpoint(path: folder.file("all.safetensors"))) == configuration)
  }

  @Test(
    "a text encoder has the published number of weights, and its shapes tell its measures",
    arguments: [
      // CLIP ViT-L/14, OpenCLIP ViT-H/14 less its last layer, OpenCLIP ViT-bigG/14
      (768, 12, 12, 3072, true, Int?.none, 123_060_480), (1024, 16, 23, 4096, false, nil, 340_387_840),
      (1280, 20, 32, 5120, false, 1280, 694_659_840),
    ])
  func textEncoders(
    _ channels: Int, _ heads: Int, _ layers: Int, _ hidden: Int, _ isQuick: Bool, _ projection: Int?, _ parameters: Int
  ) throws {
    let configuration = try CLIPConfiguration(
      fields(
        """
        {"hidden_size": \(channels), "num_attention_heads": \(heads), "num_hidden_layers": \(layers),
         "intermediate_size": \(hidden), "hidden_act": "\(isQuick ? "quick_gelu" : "gelu")", "vocab_size": 49408,
         "max_position_embeddings": 77, "projection_dim": \(projection ?? 512)}
        """), file: "config.json", hasProjection: projection != nil)
    let weights = RecordedWeights(), folder = try TemporaryFolder()
    try KernelThread.run {
      _ = try CLIPTextEncoder(configuration, weights: weights, .textEncoder1, backend: WeightlessBackend())
    }
    #expect(weights.count == parameters)
    try writeHoles(weights.names(of: .textEncoder1), to: folder.file("text.safetensors"))
    let checkpoint = try Checkpoint(path: folder.file("text.safetensors"))
    #expect(try CLIPConfiguration(detecting: checkpoint, .textEncoder1) == configuration)
  }

  @Test(
    "norms have 32 groups, and fewer in models so small that a group would have fewer than four channels",
    arguments: [
      ([320, 640, 1280], 32), ([128, 256, 512, 512], 32), ([64, 96, 96], 16), ([16, 32, 64, 96], 4), ([6], 1),
    ])
  func groups(_ widths: [Int], _ groups: Int) {
    #expect(UNetConfiguration.usualGroups(widths) == groups)
  }

  @Test("the number of heads is written under either name, for all levels or for each")
  func heads() throws {
    var fields = try fields(Self.sdxl.json)
    #expect(try UNetConfiguration(fields, file: "f").heads == [5, 10, 20])
    fields["num_attention_heads"] = .int(4)
    #expect(try UNetConfiguration(fields, file: "f").heads == [4, 4, 4])
    fields["num_attention_heads"] = .null
    fields["attention_head_dim"] = nil
    #expect(try UNetConfiguration(fields, file: "f").heads == [8, 8, 8])
    fields["layers_per_block"] = .array([.int(1), .int(2), .int(3)])
    #expect(try UNetConfiguration(fields, file: "f").resnetsPerLevel == [1, 2, 3])
  }

  @Test("an inpainting model's nine channels are read, for others to judge")
  func inpainting() throws {
    var fields = try fields(Self.sd1.json)
    fields["in_channels"] = .int(9)
    #expect(try UNetConfiguration(fields, file: "f").inputChannels == 9)
  }

  @Test(
    "what a UNet's configuration asks for and the engine cannot do is refused by name",
    arguments: [
      ("act_fn", .string("mish"), "silu"), ("mid_block_type", .string("UNetMidBlock2D"), "UNetMidBlock2DCrossAttn"),
      ("resnet_time_scale_shift", .string("scale_shift"), "default"),
      ("time_embedding_type", .string("fourier"), "positional"), ("class_embed_type", .string("timestep"), "nothing"),
      ("encoder_hid_dim", .int(1024), "nothing"), ("encoder_hid_dim_type", .string("text_proj"), "nothing"),
      ("conv_in_kernel", .int(1), "3"), ("addition_embed_type", .string("image"), "text_time"),
      ("down_block_types", .array([.string("AttnDownBlock2D")]), "DownBlock2D or CrossAttnDownBlock2D"),
      ("up_block_types", .array([.string("UpBlock2D")]), "4 levels"),
      ("block_out_channels", .string("many"), "numbers"),
      ("block_out_channels", .array([.int(0)]), "numbers"), ("layers_per_block", .int(-1), "above 0"),
      ("attention_head_dim", .array([.int(8)]), "4 numbers"), ("cross_attention_dim", .string("wide"), "above 0"),
      ("only_cross_attention", .bool(true), "false"), ("dual_cross_attention", .bool(true), "false"),
      ("norm_eps", .number(1e-6), "1e-05"), ("flip_sin_to_cos", .bool(false), "true"), ("freq_shift", .int(1), "0"),
      ("downsample_padding", .int(0), "1"), ("conv_out_kernel", .int(1), "3"),
      ("center_input_sample", .bool(true), "false"),
      ("reverse_transformer_layers_per_block", .array([.int(1)]), "nothing"),
      ("time_embedding_dim", .int(512), "nothing"),
      ("attention_type", .string("gated"), "default"), ("resnet_out_scale_factor", .number(1.4), "1"),
      ("mid_block_scale_factor", .number(1.4), "1"), ("time_embedding_act_fn", .string("silu"), "nothing"),
      ("timestep_post_act", .string("silu"), "nothing"), ("num_class_embeds", .int(10), "nothing"),
      ("resnet_skip_time_act", .bool(true), "false"), ("cross_attention_norm", .string("layer_norm"), "nothing"),
      ("class_embeddings_concat", .bool(true), "false"), ("mid_block_only_cross_attention", .bool(true), "false"),
    ] as [(String, JSONValue, String)])
  func unsupported(_ field: String, _ value: JSONValue, _ expected: String) throws {
    var fields = try fields(Self.sd1.json)
    fields[field] = value
    let error = try #require(throws: NetworkError.self) { try UNetConfiguration(fields, file: "unet/config.json") }
    let text = error.description
    #expect(text.hasPrefix("unet/config.json: ") && text.contains(expected), "\(text)")
    #expect(text.contains(field) || expected == "4 levels", "\(text)")
  }

  @Test(
    "what an autoencoder's configuration asks for and the engine cannot do is refused by name",
    arguments: [
      ("_class_name", .string("AutoencoderDC"), "AutoencoderKL"), ("act_fn", .string("relu"), "silu"),
      ("block_out_channels", .array([]), "numbers"), ("scaling_factor", .string("x"), "a number"),
      ("latent_channels", .int(0), "above 0"),
    ] as [(String, JSONValue, String)])
  func unsupportedAutoencoder(_ field: String, _ value: JSONValue, _ expected: String) throws {
    var fields = try configurationFields(Goldens.path("diffusion/sd1-pipeline/vae/config.json"))
    fields[field] = value
    let error = try #require(throws: NetworkError.self) { try AutoencoderConfiguration(fields, file: "f") }
    #expect(error.description.contains("\(field): expected"), "\(error)")
    #expect(error.description.contains(expected), "\(error)")
  }

  @Test("other text encoders are refused by name")
  func unsupportedTextEncoder() throws {
    let error = try #require(throws: NetworkError.self) {
      try CLIPConfiguration(fields(#"{"hidden_act": "gelu_new"}"#), file: "f", hasProjection: false)
    }
    #expect(error.description == "f: hidden_act: expected quick_gelu or gelu, found gelu_new")
  }

  @Test("a missing network is named, with what to do")
  func missing() throws {
    let folder = try TemporaryFolder(), path = folder.file("vae.safetensors")
    try writeHoles([("decoder.mid.block_1.conv1.weight", [512, 512, 3, 3])], to: path)
    let checkpoint = try Checkpoint(path: path)
    #expect(try #require(throws: NetworkError.self) { try UNetConfiguration(detecting: checkpoint) }.file == path)
    #expect(throws: NetworkError.self) { try AutoencoderConfiguration(detecting: checkpoint) }
    #expect(throws: NetworkError.self) { try CLIPConfiguration(detecting: checkpoint, .textEncoder1) }
  }

  @Test("missing weights and wrong shapes are named")
  func missingWeights() throws {
    let golden = try NetworkGolden("sd1-tiny"), checkpoint = try Checkpoint(path: golden.model)
    var fields = try configurationFields("\(golden.model)/config.json")
    fields["layers_per_block"] = .int(2)
    let deeper = try UNetConfiguration(fields, file: "f")
    fields["layers_per_block"] = .int(1)
    fields["cross_attention_dim"] = .int(48)
    let wider = try UNetConfiguration(fields, file: "f")
    KernelThread.run {
      func error(_ configuration: UNetConfiguration) -> CheckpointError.Kind? {
        #expect(throws: CheckpointError.self) {
          try UNet(configuration, weights: checkpoint, backend: ReferenceBackend(), expecting: size)
        }?.kind
      }
      #expect(error(deeper) == .unknownWeight("denoiser.down_blocks.0.resnets.1.norm1.weight"))
      guard case .weightShape(let name, _, _) = error(wider) else {
        Issue.record("no shape is complained about")
        return
      }
      #expect(name == "denoiser.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight")
    }
  }
}
