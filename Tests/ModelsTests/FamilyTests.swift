import TestSupport
import Testing

@testable import Models

/// Proves that names and widths tell the family of the base, and what training metadata claims.
@Suite struct FamilyTests {
  private static let block = "down_blocks_1_attentions_0_transformer_blocks_"

  /// Targets by key path, with the width of their inputs and the number of rows.
  static let cases: [(String, [(Component, String, Int, Int)], Family)] = [
    ("context 768", [(.denoiser, block + "0_attn2_to_k", 768, 320)], .sd1),
    ("context 1024", [(.denoiser, block + "0_attn2_to_v", 1024, 320)], .sd2),
    ("context 1280", [(.denoiser, block + "0_attn2_to_k", 1280, 384)], .sdxlRefiner),
    ("context 2048", [(.denoiser, block + "0_attn2_to_k", 2048, 640)], .sdxl),
    (
      "a deep block without a context",
      [(.denoiser, "mid_block_attentions_0_transformer_blocks_9_attn1_to_q", 1280, 1280)], .sdxl
    ),
    (
      "two text encoders beside a UNet",
      [(.denoiser, "mid_block_resnets_0_conv1", 9, 9), (.textEncoder2, "x", 1280, 9)],
      .sdxl
    ),
    ("a UNet without evidence", [(.denoiser, block + "0_attn1_to_q", 640, 640)], .unknown),
    (
      "another model's blocks of a UNet's name",
      [
        (.denoiser, "down_blocks_0_0_channelwise_0", 2048, 8192),
        (.denoiser, "down_blocks_0_2_attention_attn_to_q", 768, 9),
      ],
      .unknown
    ),
    ("a text encoder of 768", [(.textEncoder1, "encoder_layers_0_mlp_fc1", 768, 3072)], .sd1),
    ("a text encoder of 1024", [(.textEncoder1, "encoder_layers_0_mlp_fc1", 1024, 4096)], .sd2),
    ("a text encoder of another kind", [(.textEncoder1, "layers_0_self_attn_q_proj", 1024, 2048)], .unknown),
    ("two text encoders alone", [(.textEncoder1, "x", 768, 9), (.textEncoder2, "x", 1280, 9)], .sdxl),
    ("Flux in diffusers' names", [(.denoiser, "single_transformer_blocks_12_proj_out", 15360, 3072)], .flux1),
    ("XLabs' part of a projection", [(.denoiser, "single_blocks_12_linear1_qkv_rows", 3072, 9216)], .flux1),
    ("a small model of Flux.1's shapes", [(.denoiser, "single_blocks_0_linear1", 16, 112)], .flux1),
    ("a small model of Flux.2's shapes", [(.denoiser, "single_blocks_0_linear1", 16, 144)], .flux2),
    ("widths that contradict each other", [(.denoiser, "single_blocks_0_linear1", 3072, 21000)], .unknown),
    ("a width that no Flux has", [(.denoiser, "single_blocks_0_linear1", 2048, 14336)], .unknown),
    (
      "projections that Flux.1 and Klein 4B both have", [(.denoiser, "double_blocks_0_img_attn_qkv", 3072, 9216)],
      .unknown
    ),
    ("a block that only Flux.1 has", [(.denoiser, "double_blocks_18_img_attn_qkv", 3072, 9216)], .flux1),
    ("a block that Flux.1 does not have", [(.denoiser, "double_blocks_19_img_attn_qkv", 3072, 9216)], .hunyuanVideo),
    (
      "a module that the blocks of no family have",
      [(.denoiser, "single_blocks_0_linear1", 3072, 21504), (.denoiser, "single_blocks_0_linear3", 3072, 3072)],
      .unknown
    ),
    (
      "LongCat-Image's number of blocks",
      [(.denoiser, "double_blocks_9_img_attn_qkv", 3072, 9216), (.denoiser, "single_blocks_19_linear1", 3072, 21504)],
      .longCat
    ),
    ("HunyuanVideo 1.5 in ComfyUI's names", [(.denoiser, "double_blocks_0_img_mlp_0", 2048, 8192)], .hunyuanVideo15),
    (
      "HunyuanVideo 1.5 in the authors' names", [(.denoiser, "double_blocks_0_img_attn_q", 2048, 2048)], .hunyuanVideo15
    ),
    (
      "a perceptron that HunyuanVideo 1.5, LTX-Video and Cosmos all have",
      [(.denoiser, "transformer_blocks_0_ff_net_0_proj", 2048, 8192)], .unknown
    ),
    ("Krea 2's fused projection", [(.denoiser, "transformer_blocks_3_attn_to_qkv", 6144, 9216)], .krea2),
    (
      "Anima",
      [
        (.denoiser, "blocks_0_self_attn_q_proj", 2048, 2048), (.denoiser, "blocks_0_mlp_layer1", 2048, 8192),
        (.denoiser, "llm_adapter_blocks_0_self_attn_q_proj", 1024, 1024),
        (.textEncoder1, "layers_0_mlp_up_proj", 1024, 3072),
      ], .anima
    ),
    (
      "blocks that Anima and Cosmos-Predict2 both have", [(.denoiser, "blocks_0_self_attn_q_proj", 2048, 2048)],
      .unknown
    ),
    (
      "PixArt without attention to the text, which is also a picture encoder",
      [(.denoiser, "blocks_0_attn_qkv", 1152, 3456), (.denoiser, "blocks_0_mlp_fc1", 1152, 4608)], .unknown
    ),
    (
      "attention that LTX-Video and Cosmos both have", [(.denoiser, "transformer_blocks_0_attn2_to_q", 2048, 2048)],
      .unknown
    ),
    ("Llama", [(.denoiser, "model_layers_0_self_attn_q_proj", 4096, 4096)], .languageModel),
    ("GPT-2", [(.denoiser, "transformer_h_0_attn_c_attn", 768, 2304)], .languageModel),
    (
      "ERNIE-Image",
      [
        (.denoiser, "layers_0_self_attention_to_q", 4096, 4096), (.denoiser, "layers_0_mlp_gate_proj", 4096, 12288),
      ], .ernie
    ),
    (
      "ACE-Step",
      [
        (.denoiser, "layers_0_self_attn_q_proj", 2048, 2048), (.denoiser, "layers_0_cross_attn_q_proj", 2048, 2048),
      ], .aceStep
    ),
    ("nothing known", [(.denoiser, "conv", 3, 9)], .unknown), ("nothing at all", [], .unknown),
  ]

  @Test("the family follows from names and shapes", arguments: cases.indices)
  func detection(index: Int) {
    let (name, targets, family) = Self.cases[index]
    #expect(
      Family.detect(targets.map { FamilyClue(key: TargetKey($0.0, $0.1), inputs: $0.2, rows: $0.3) }) == family,
      "\(name)")
  }

  @Test("a file whose prefixes say that it is for a denoiser is not for a language model")
  func denoiserPrefix() {
    let clues = [
      FamilyClue(key: TargetKey(.denoiser, "language_model_layers_0_self_attn_q_proj"), inputs: 4096, rows: 4096)
    ]
    #expect(Family.detect(clues) == .languageModel && Family.detect(clues, isOfDenoiser: true) == .unknown)
  }

  @Test("What may be a UNet's name begins as the map's names do")
  func beginnings() {
    for rule in NameMap.stableDiffusionUNet.rules {
      for name in [rule.left] + rule.rights {
        #expect(ModuleNames.mayBeOfUNet(name.text.replacing("*", with: "0").replacing(".", with: "_")), "\(name.text)")
      }
    }
    #expect(!ModuleNames.mayBeOfUNet("transformer_blocks_0_attn_to_q"))
  }

  @Test("No family is left out before its names are looked at")
  func mentions() {
    for family in Family.all where family.hasTransformer {
      let names = family.denoiserMaps.flatMap(\.rules).filter { !$0.left.hasRest && !$0.isTensor }.flatMap { rule in
        rule.isOnlyRead ? [rule.left] : [rule.left] + rule.rights
      }
      for name in names {
        let path = name.text.replacing("*", with: "0").replacing("$", with: "0").replacing(".", with: "_")
        let survey = ModuleSurvey([ChangedModule(path: path, inputs: nil, rows: nil)])
        #expect(family.mentions(survey.words), "\(family): \(path): \(survey.words)")
      }
    }
  }

  @Test("where several families fit, all are told")
  func candidates() {
    let clues = [FamilyClue(key: TargetKey(.denoiser, "double_blocks_0_img_attn_qkv"), inputs: 3072, rows: 9216)]
    #expect(Family.candidates(clues) == [.flux1, .flux2])
  }

  @Test(
    "metadata claims a family in the words of several trainers",
    arguments: [
      ("sd_v1", Family.sd1), ("sd_1.5", .sd1), ("sd_v2_v", .sd2), ("sdxl_base_v1-0", .sdxl), ("flux1", .flux1),
      ("sd3-medium", .sd3), ("flux.2-klein", .flux2), ("flux2_dev", .flux2), ("pixart-xl", .pixart),
      ("lumina2", .lumina2), ("wan2.1", .wan), ("qwen-image", .qwenImage), ("anima-preview", .anima),
      ("z_image", .zImage), ("something", nil), ("", nil),
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
