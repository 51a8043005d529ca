import Models
import Tensors
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct FamilyDetectionTests {
  private func detect(_ names: [String], className: String? = nil, encoders: [String] = []) -> Family {
    Family.detect(
      shapes: Dictionary(uniqueKeysWithValues: names.map { ($0, [4, 4]) }), className: className, encoders: encoders)
  }

  @Test(arguments: [(768, Family.sd1), (1024, .sd2), (2048, .sdxl), (1280, .sdxlRefiner)])
  func widthOfTheContext(width: Int, family: Family) {
    for input in ["input_blocks.0.0.weight", "down_blocks.0.resnets.0.conv1.weight"] {
      let shapes: [String: Shape] = [input: [320, 4, 3, 3], "x.attn2.to_k.weight": [320, width]]
      #expect(Family.detect(shapes: shapes, className: nil, encoders: []) == family)
    }
  }

  @Test func textEncoderTellsUNets() {
    let shapes: [String: Shape] = ["input_blocks.0.0.weight": [4, 4, 3, 3], "a.proj_in.weight": [4, 4, 1, 1]]
    #expect(Family.detect(shapes: shapes, className: nil, encoders: []) == .sd1)
    #expect(Family.detect(shapes: shapes, className: nil, encoders: ["cond_stage_model.model.x"]) == .sd2)
  }

  @Test func configurationGoesBeforeNames() {
    #expect(detect(["x.weight"], className: "QwenImageTransformer2DModel") == .qwenImage)
    #expect(detect(["head.modulation"], className: "WanModel") == .wan)
    #expect(detect(["x.weight"]) == .unknown)
  }

  /// Models that share the signs of a family and are none of it.
  @Test func likenesses() {
    let lumina = ["time_caption_embed.timestep_embedder.linear_1.bias", "layers.0.attn.to_q.weight"]
    #expect(detect(lumina) == .lumina2)
    #expect(detect(lumina + ["ref_image_patch_embedder.weight"]) == .unknown)
    let pixart = ["adaln_single.emb.timestep_embedder.linear_1.weight", "pos_embed.proj.weight"]
    #expect(detect(pixart) == .pixart)
    #expect(detect(pixart + ["temporal_transformer_blocks.0.attn1.to_q.weight"]) == .unknown)
    // HunyuanImage and LongCat-Image, in diffusers' names and in the authors'.
    let hunyuan = ["context_embedder.token_refiner.refiner_blocks.0.attn.to_q.weight"]
    #expect(detect(hunyuan) == .hunyuanVideo)
    #expect(detect(hunyuan + ["context_embedder_2.linear_1.weight"]) == .hunyuanImage)
    let flux = ["single_transformer_blocks.0.attn.to_q.weight", "transformer_blocks.0.norm1_context.linear.weight"]
    #expect(detect(flux) == .flux1)
    #expect(detect(flux + ["time_embed.timestep_embedder.linear_1.weight"]) == .longCat)
    #expect(detect(["double_blocks.0.img_attn.qkv.weight"]) == .flux1)
    #expect(detect(["double_blocks.0.img_attn.qkv.weight", "byt5_in.fc1.weight"]) == .hunyuanImage)
    #expect(
      detect(["double_blocks.0.img_attn.qkv.weight", "byt5_in.fc1.weight", "vision_in.proj.0.weight"])
        == .hunyuanVideo15)
    let cosmos = ["blocks.0.mlp.layer1.weight"]
    #expect(detect(cosmos) == .cosmos)
    #expect(detect(cosmos + ["llm_adapter.blocks.0.cross_attn.q_proj.weight"]) == .anima)
    #expect(detect(cosmos, className: "CosmosTransformer3DModel") == .cosmos)
    #expect(
      detect(["text_conditioner.blocks.0.cross_attn.q_proj.weight"], className: "CosmosTransformer3DModel") == .anima)
    #expect(detect(["input_blocks.0.0.weight", "input_blocks.1.0.time_stack.in_layers.0.weight"]) == .unknown)
  }

  // MARK: Networks by their prefixes

  private func places(_ names: [String]) -> [String] {
    let prefixes = ComponentPrefix(soleNetwork: .denoiser, names: names)
    return names.map {
      let (component, name) = prefixes.place(of: $0)
      return "\(component) \(name)"
    }
  }

  @Test func prefixesOfTransformers() {
    #expect(
      places(["transformer.transformer_blocks.0.attn.to_q.weight", "transformer.proj_out.weight"])
        == ["denoiser transformer_blocks.0.attn.to_q.weight", "denoiser proj_out.weight"])
    #expect(
      places(["transformer.h.0.x", "model.layers.0.x"]) == ["denoiser transformer.h.0.x", "denoiser model.layers.0.x"])
    #expect(places(["net.blocks.0.x"]) == ["denoiser blocks.0.x"])
  }

  @Test func constantsAndAverages() {
    #expect(
      places(["betas", "sqrt_alphas_cumprod", "model_ema.decay", "control_model.x", "conditioner.x"])
        == ["other betas", "other sqrt_alphas_cumprod", "other decay", "other x", "other x"])
  }
}
