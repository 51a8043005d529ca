import Tensors

extension Family {
  /// Tell-tale weights of a denoiser, tried from top to bottom: all of a line must be there. A name that begins with `-`
  /// must not.
  ///
  /// Source: the detection tables of ComfyUI and diffusers' single-file loader.
  private static let signs: [([String], Family)] = [
    // Models that share names with those below and have none of their maps: HunyuanVideo 1.5, Ovis-Image.
    (["vision_in.proj.0.weight"], .unknown),
    (["image_embedder.linear_1.weight", "context_embedder.token_refiner.refiner_blocks.0.attn.to_q.weight"], .unknown),
    (["double_blocks.0.img_mlp.gate_proj.weight"], .unknown),
    (["joint_blocks.0.context_block.adaLN_modulation.1.weight"], .sd3),
    (["double_layers.0.attn.w1q.weight"], .auraFlow),
    (["txt_in.individual_token_refiner.blocks.0.norm1.weight"], .hunyuanVideo),
    (["single_stream_modulation.lin.weight"], .flux2),
    (["double_stream_modulation_img.lin.weight"], .flux2),
    (["distilled_guidance_layer.in_proj.weight"], .chroma),
    (["double_blocks.0.img_attn.norm.key_norm.scale"], .flux1),
    (["double_blocks.0.img_attn.qkv.weight"], .flux1),
    (["adaln_single.emb.timestep_embedder.linear_1.bias", "patchify_proj.weight"], .ltx),
    (["blocks.0.cross_attn.q_linear.weight", "blocks.0.mlp.inverted_conv.conv.weight"], .sana),
    (["t_block.1.weight", "y_embedder.y_proj.fc1.weight"], .pixart),
    (["layers.0.adaLN_modulation.0.weight", "cap_embedder.1.weight"], .zImage),
    (["cap_embedder.1.weight"], .lumina2),
    (["head.modulation"], .wan),
    (["blocks.0.mlp.layer1.weight"], .cosmos),
    (["txt_norm.weight", "transformer_blocks.0.attn.add_q_proj.weight"], .qwenImage),
    // diffusers' own names
    (["context_embedder.token_refiner.refiner_blocks.0.attn.to_q.weight"], .hunyuanVideo),
    (["time_guidance_embed.timestep_embedder.linear_1.weight"], .flux2),
    (["single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight"], .flux2),
    (["joint_transformer_blocks.0.attn.add_q_proj.weight"], .auraFlow),
    (["pos_embed.pos_embed", "transformer_blocks.0.norm1_context.linear.weight"], .sd3),
    (["single_transformer_blocks.0.attn.to_q.weight", "transformer_blocks.0.norm1_context.linear.weight"], .flux1),
    (["condition_embedder.time_proj.weight", "blocks.0.attn1.to_q.weight"], .wan),
    (["all_x_embedder.2-1.weight"], .zImage),
    (
      [
        "time_caption_embed.timestep_embedder.linear_1.bias", "layers.0.attn.to_q.weight",
        "-ref_image_patch_embedder.weight",
      ], .lumina2
    ),
    (["transformer_blocks.0.ff.conv_inverted.weight"], .sana),
    (
      ["proj_in.weight", "time_embed.emb.timestep_embedder.linear_1.weight", "transformer_blocks.0.attn1.to_q.weight"],
      .ltx
    ),
    (
      [
        "adaln_single.emb.timestep_embedder.linear_1.weight", "pos_embed.proj.weight",
        "-temporal_transformer_blocks.0.attn1.to_q.weight",
      ], .pixart
    ),
    (["time_embed.t_embedder.linear_1.weight", "transformer_blocks.0.norm1.linear_1.weight"], .cosmos),
  ]

  /// `_class_name` of a diffusers configuration.
  private static let classes: [String: Family] = [
    "SD3Transformer2DModel": .sd3, "LTX2VideoTransformer3DModel": .ltx,
    "HunyuanVideoFramepackTransformer3DModel": .hunyuanVideo, "WanAnimateTransformer3DModel": .wan,
    "SkyReelsV2Transformer3DModel": .wan, "ChronoEditTransformer3DModel": .wan, "FluxTransformer2DModel": .flux1,
    "Flux2Transformer2DModel": .flux2,
    "ChromaTransformer2DModel": .chroma, "HunyuanVideoTransformer3DModel": .hunyuanVideo,
    "WanTransformer3DModel": .wan, "WanVACETransformer3DModel": .wan, "QwenImageTransformer2DModel": .qwenImage,
    "ZImageTransformer2DModel": .zImage, "Lumina2Transformer2DModel": .lumina2, "LTXVideoTransformer3DModel": .ltx,
    "PixArtTransformer2DModel": .pixart, "SanaTransformer2DModel": .sana, "AuraFlowTransformer2DModel": .auraFlow,
    "CosmosTransformer3DModel": .cosmos,
  ]

  /// Works out the family of a denoiser from its weights' names and shapes.
  ///
  /// - Parameters:
  ///   - shapes: of all its tensors.
  ///   - className: of its configuration, if there is one.
  ///   - encoders: names of tensors outside the denoiser, which tell models of unusual width apart.
  static func detect(shapes: [String: Shape], className: String?, encoders: [String]) -> Family {
    if let family = className.flatMap({ classes[$0] }) { return family }
    // A transformer of another class is another model, whatever names it shares.
    if className?.contains("Transformer") == true { return .unknown }
    for (names, family) in signs where names.allSatisfy({ isGiven($0, in: shapes) }) { return family }
    let isUNet = ["input_blocks.0.0.weight", "down_blocks.0.resnets.0.conv1.weight"].contains { shapes[$0] != nil }
    return isUNet ? unet(shapes, encoders) : .unknown
  }

  private static func isGiven(_ sign: String, in shapes: [String: Shape]) -> Bool {
    sign.hasPrefix("-") ? shapes[sign.dropping(prefix: "-")] == nil : shapes[sign] != nil
  }

  private static func unet(_ shapes: [String: Shape], _ encoders: [String]) -> Family {
    func has(_ names: [String]) -> Bool { names.contains { shapes[$0] != nil } }
    // By name, so that a file is taken for the same each time.
    func first(_ ending: String) -> Shape? {
      shapes.filter { $0.key.hasSuffix(ending) }.min { $0.key < $1.key }?.value
    }
    // Stable Video Diffusion
    if has(["input_blocks.1.0.time_stack.in_layers.0.weight"]) { return .unknown }
    let context = first(".attn2.to_k.weight")?.extents.last
    switch context {
    case 768: return .sd1
    case 1024: return .sd2
    case 2048: return .sdxl
    case 1280: return .sdxlRefiner
    default: break
    }
    // A model of unusual width: what it is made of tells.
    if has(["label_emb.0.0.weight", "add_embedding.linear_1.weight"]) {
      return has(["input_blocks.10.0.in_layers.0.weight", "down_blocks.3.resnets.0.norm1.weight"])
        ? .sdxlRefiner : .sdxl
    }
    if encoders.contains(where: { $0.hasPrefix("cond_stage_model.model.") }) { return .sd2 }
    let projection = first(".proj_in.weight")
    return projection.map { $0.rank == 4 ? .sd1 : .sd2 } ?? .unknown
  }
}
