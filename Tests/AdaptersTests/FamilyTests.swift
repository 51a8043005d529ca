import Checkpoints
import Testing

@testable import Adapters

/// Proves that names and widths tell the family of the base, and what training metadata claims.
@Suite struct FamilyTests {
  private static let block = "down_blocks_1_attentions_0_transformer_blocks_"

  /// Targets by key path, with the width of their inputs.
  static let cases: [(String, [(Component, String, Int)], Family)] = [
    ("context 768", [(.denoiser, block + "0_attn2_to_k", 768)], .sd1),
    ("context 1024", [(.denoiser, block + "0_attn2_to_v", 1024)], .sd2),
    ("context 1280", [(.denoiser, block + "0_attn2_to_k", 1280)], .sdxlRefiner),
    ("context 2048", [(.denoiser, block + "0_attn2_to_k", 2048)], .sdxl),
    (
      "a deep block without a context", [(.denoiser, "mid_block_attentions_0_transformer_blocks_9_attn1_to_q", 1280)],
      .sdxl
    ),
    (
      "two text encoders beside a UNet", [(.denoiser, "mid_block_resnets_0_conv1", 9), (.textEncoder2, "x", 1280)],
      .sdxl
    ),
    ("a UNet without evidence", [(.denoiser, block + "0_attn1_to_q", 640)], .unknown),
    ("a text encoder of 768", [(.textEncoder1, "encoder_layers_0_mlp_fc1", 768)], .sd1),
    ("a text encoder of 1024", [(.textEncoder1, "encoder_layers_0_mlp_fc1", 1024)], .sd2),
    ("two text encoders alone", [(.textEncoder1, "x", 768), (.textEncoder2, "x", 1280)], .sdxl),
    (
      "Flux in kohya's names",
      [(.denoiser, "double_blocks_0_img_attn_qkv", 3072), (.denoiser, "single_blocks_3_linear1", 3072)], .flux1
    ),
    ("Flux in diffusers' names", [(.denoiser, "single_transformer_blocks_12_proj_out", 15360)], .flux1),
    ("Flux.2", [(.denoiser, "double_stream_modulation_img_lin", 6144)], .flux2),
    ("Flux.2 by width", [(.denoiser, "single_blocks_0_linear1", 6144)], .flux2),
    ("HunyuanVideo", [(.denoiser, "double_blocks_0_img_mlp_fc1", 3072)], .hunyuanVideo),
    ("SD3 in its own names", [(.denoiser, "joint_blocks_0_x_block_attn_qkv", 1536)], .sd3),
    ("SD3 in diffusers' names", [(.denoiser, "transformer_blocks_0_attn_add_q_proj", 1536)], .sd3),
    (
      "Qwen-Image",
      [
        (.denoiser, "transformer_blocks_0_attn_add_q_proj", 3072),
        (.denoiser, "transformer_blocks_0_img_mlp_net_2", 12288),
      ], .qwenImage
    ),
    ("Wan", [(.denoiser, "blocks_0_self_attn_q", 5120)], .wan),
    ("Wan's feed-forward alone", [(.denoiser, "blocks_0_ffn_0", 5120)], .wan),
    ("Z-Image", [(.denoiser, "layers_0_attention_to_q", 3840)], .zImage),
    ("Lumina2", [(.denoiser, "layers_0_attention_qkv", 2304)], .lumina2),
    ("LTX-Video", [(.denoiser, "transformer_blocks_0_attn1_to_q", 2048)], .ltx),
    ("PixArt", [(.denoiser, "transformer_blocks_0_attn1_to_q", 1152)], .pixart),
    ("Cosmos", [(.denoiser, "blocks_0_adaln_modulation_self_attn_1", 2048)], .cosmos),
    ("Llama", [(.denoiser, "model_layers_0_self_attn_q_proj", 4096)], .languageModel),
    ("GPT-2", [(.denoiser, "transformer_h_0_attn_c_attn", 768)], .languageModel),
    ("nothing known", [(.denoiser, "conv", 3)], .unknown), ("nothing at all", [], .unknown),
  ]

  @Test("the family follows from names and widths", arguments: cases.indices)
  func detection(index: Int) {
    let (name, targets, family) = Self.cases[index]
    #expect(Family.detect(targets.map { (TargetKey($0.0, $0.1), $0.2) }) == family, "\(name)")
  }

  @Test(
    "metadata claims a family in the words of several trainers",
    arguments: [
      ("sd_v1", Family.sd1), ("sd_1.5", .sd1), ("sd_v2_v", .sd2), ("sdxl_base_v1-0", .sdxl), ("flux1", .flux1),
      ("sd3-medium", .sd3),
      ("lumina2", .lumina2), ("wan2.1", .wan), ("qwen-image", .qwenImage), ("something", nil), ("", nil),
    ])
  func claims(version: String, family: Family?) {
    #expect(Family.claimed(by: ["ss_base_model_version": version]) == family)
  }

  @Test("the architecture field weighs more than the trainer's version")
  func architecture() {
    func claim(_ architecture: String) -> Family? {
      Family.claimed(by: ["modelspec.architecture": architecture, "ss_base_model_version": "sd_v1"])
    }
    #expect(claim("stable-diffusion-xl-v1-base/lora") == .sdxl && claim("stable-diffusion-v1/lora") == .sd1)
    #expect(claim("stable-diffusion-v2-768-v/lora") == .sd2 && claim("stable-diffusion-3-medium/lora") == .sd3)
    #expect(claim("stable-diffusion-xl-v1-refiner") == .sdxlRefiner && claim("flux-1-dev/lora") == .flux1)
    #expect(Family.claimed(by: [:]) == nil)
  }
}
