import Tensors
import Testing

@testable import Models

/// Proves that both spellings of every module of the SD1 and SDXL UNets are translated into each other, against the
/// block tables written out here.
@Suite struct UNetNamesTests {
  private static func diffusersPath(ofLDM path: String) -> String? {
    ModuleNames.stableDiffusion.flat(path, in: .diffusers)
  }

  private static func ldmPath(ofDiffusers path: String, in family: Family = .sdxl) -> String? {
    ModuleNames.unet(of: family).flat(path, in: .original)
  }

  /// A block in both spellings, with the number of transformer blocks where it is an attention block.
  struct Block {
    let ldm: String
    let diffusers: String
    let depth: Int?
  }

  private static func blocks(_ rows: [(String, String, Int?)]) -> [Block] {
    rows.map { Block(ldm: $0.0, diffusers: $0.1, depth: $0.2) }
  }

  static let sdxl = blocks([
    ("input_blocks_1_0", "down_blocks_0_resnets_0", nil), ("input_blocks_2_0", "down_blocks_0_resnets_1", nil),
    ("input_blocks_4_0", "down_blocks_1_resnets_0", nil), ("input_blocks_4_1", "down_blocks_1_attentions_0", 2),
    ("input_blocks_5_0", "down_blocks_1_resnets_1", nil), ("input_blocks_5_1", "down_blocks_1_attentions_1", 2),
    ("input_blocks_7_0", "down_blocks_2_resnets_0", nil), ("input_blocks_7_1", "down_blocks_2_attentions_0", 10),
    ("input_blocks_8_0", "down_blocks_2_resnets_1", nil), ("input_blocks_8_1", "down_blocks_2_attentions_1", 10),
    ("middle_block_0", "mid_block_resnets_0", nil), ("middle_block_1", "mid_block_attentions_0", 10),
    ("middle_block_2", "mid_block_resnets_1", nil),
    ("output_blocks_0_0", "up_blocks_0_resnets_0", nil), ("output_blocks_0_1", "up_blocks_0_attentions_0", 10),
    ("output_blocks_1_0", "up_blocks_0_resnets_1", nil), ("output_blocks_1_1", "up_blocks_0_attentions_1", 10),
    ("output_blocks_2_0", "up_blocks_0_resnets_2", nil), ("output_blocks_2_1", "up_blocks_0_attentions_2", 10),
    ("output_blocks_3_0", "up_blocks_1_resnets_0", nil), ("output_blocks_3_1", "up_blocks_1_attentions_0", 2),
    ("output_blocks_4_0", "up_blocks_1_resnets_1", nil), ("output_blocks_4_1", "up_blocks_1_attentions_1", 2),
    ("output_blocks_5_0", "up_blocks_1_resnets_2", nil), ("output_blocks_5_1", "up_blocks_1_attentions_2", 2),
    ("output_blocks_6_0", "up_blocks_2_resnets_0", nil), ("output_blocks_7_0", "up_blocks_2_resnets_1", nil),
    ("output_blocks_8_0", "up_blocks_2_resnets_2", nil),
  ])

  static let sd1 = blocks([
    ("input_blocks_1_0", "down_blocks_0_resnets_0", nil), ("input_blocks_1_1", "down_blocks_0_attentions_0", 1),
    ("input_blocks_2_0", "down_blocks_0_resnets_1", nil), ("input_blocks_2_1", "down_blocks_0_attentions_1", 1),
    ("input_blocks_4_0", "down_blocks_1_resnets_0", nil), ("input_blocks_4_1", "down_blocks_1_attentions_0", 1),
    ("input_blocks_5_0", "down_blocks_1_resnets_1", nil), ("input_blocks_5_1", "down_blocks_1_attentions_1", 1),
    ("input_blocks_7_0", "down_blocks_2_resnets_0", nil), ("input_blocks_7_1", "down_blocks_2_attentions_0", 1),
    ("input_blocks_8_0", "down_blocks_2_resnets_1", nil), ("input_blocks_8_1", "down_blocks_2_attentions_1", 1),
    ("input_blocks_10_0", "down_blocks_3_resnets_0", nil), ("input_blocks_11_0", "down_blocks_3_resnets_1", nil),
    ("middle_block_0", "mid_block_resnets_0", nil), ("middle_block_1", "mid_block_attentions_0", 1),
    ("middle_block_2", "mid_block_resnets_1", nil),
    ("output_blocks_0_0", "up_blocks_0_resnets_0", nil), ("output_blocks_1_0", "up_blocks_0_resnets_1", nil),
    ("output_blocks_2_0", "up_blocks_0_resnets_2", nil),
    ("output_blocks_3_0", "up_blocks_1_resnets_0", nil), ("output_blocks_3_1", "up_blocks_1_attentions_0", 1),
    ("output_blocks_4_0", "up_blocks_1_resnets_1", nil), ("output_blocks_4_1", "up_blocks_1_attentions_1", 1),
    ("output_blocks_5_0", "up_blocks_1_resnets_2", nil), ("output_blocks_5_1", "up_blocks_1_attentions_2", 1),
    ("output_blocks_6_0", "up_blocks_2_resnets_0", nil), ("output_blocks_6_1", "up_blocks_2_attentions_0", 1),
    ("output_blocks_7_0", "up_blocks_2_resnets_1", nil), ("output_blocks_7_1", "up_blocks_2_attentions_1", 1),
    ("output_blocks_8_0", "up_blocks_2_resnets_2", nil), ("output_blocks_8_1", "up_blocks_2_attentions_2", 1),
    ("output_blocks_9_0", "up_blocks_3_resnets_0", nil), ("output_blocks_9_1", "up_blocks_3_attentions_0", 1),
    ("output_blocks_10_0", "up_blocks_3_resnets_1", nil), ("output_blocks_10_1", "up_blocks_3_attentions_1", 1),
    ("output_blocks_11_0", "up_blocks_3_resnets_2", nil), ("output_blocks_11_1", "up_blocks_3_attentions_2", 1),
  ])

  static let common = [
    ("input_blocks_0_0", "conv_in"), ("out_2", "conv_out"), ("time_embed_0", "time_embedding_linear_1"),
    ("time_embed_2", "time_embedding_linear_2"), ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv"),
    ("input_blocks_6_0_op", "down_blocks_1_downsamplers_0_conv"),
  ]

  static let sdxlOnly = [
    ("label_emb_0_0", "add_embedding_linear_1"), ("label_emb_0_2", "add_embedding_linear_2"),
    ("output_blocks_2_2_conv", "up_blocks_0_upsamplers_0_conv"),
    ("output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
  ]

  static let sd1Only = [
    ("input_blocks_9_0_op", "down_blocks_2_downsamplers_0_conv"),
    ("output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
    ("output_blocks_8_2_conv", "up_blocks_2_upsamplers_0_conv"),
  ]

  /// Modules inside attention blocks that adapters change.
  private static func attention(_ blocks: [Block]) -> [(String, String)] {
    blocks.flatMap { block -> [(String, String)] in
      guard let depth = block.depth else { return [] }
      let projections = ["attn1", "attn2"].flatMap { attention in
        ["to_q", "to_k", "to_v", "to_out_0"].map { "\(attention)_\($0)" }
      }
      let layers = (0..<depth).flatMap { j in
        (projections + ["ff_net_0_proj", "ff_net_2"]).map { "transformer_blocks_\(j)_\($0)" }
      }
      return (["proj_in", "proj_out"] + layers).map { ("\(block.ldm)_\($0)", "\(block.diffusers)_\($0)") }
    }
  }

  private static func resnets(_ blocks: [Block]) -> [(String, String)] {
    let parts = [
      ("in_layers_2", "conv1"), ("out_layers_3", "conv2"), ("emb_layers_1", "time_emb_proj"),
      ("skip_connection", "conv_shortcut"),
    ]
    return blocks.filter { $0.depth == nil }.flatMap { block in
      parts.map { ("\(block.ldm)_\($0.0)", "\(block.diffusers)_\($0.1)") }
    }
  }

  @Test("every SDXL module is translated both ways")
  func sdxlModules() {
    #expect(Self.attention(Self.sdxl).count == 722)
    check(Self.attention(Self.sdxl) + Self.resnets(Self.sdxl) + Self.common + Self.sdxlOnly)
  }

  @Test("every SD1 module is translated both ways")
  func sd1Modules() {
    #expect(Self.attention(Self.sd1).count == 192)
    check(Self.attention(Self.sd1) + Self.resnets(Self.sd1) + Self.common + Self.sd1Only)
    // The first upsampler of SD1 stands at another place than SDXL's.
    #expect(Self.diffusersPath(ofLDM: "output_blocks_2_1_conv") == "up_blocks_0_upsamplers_0_conv")
  }

  @Test("an upsampler stands behind the attention where its level has one", arguments: Family.all.filter(\.hasUNet))
  func upsamplers(family: Family) {
    let names = ModuleNames.unet(of: family)
    for (level, place) in [(0, family == .sdxl ? 2 : 1), (1, 2), (2, 2)] {
      let original = "output_blocks.\(3 * level + 2).\(place).conv", module = "up_blocks.\(level).upsamplers.0.conv"
      #expect(names.counterpart(of: module, isLast: false).original == original)
      #expect(names.flat(module.underscored, in: .original) == original.underscored)
    }
  }

  @Test(
    "modules that no UNet has are nobody's, whatever block they seem to be in",
    arguments: [
      "input_blocks_4_1_fuser", "input_blocks_13_0_in_layers_2", "input_blocks_4_2_in_layers_2", "middle_block_3_norm",
      "middle_block_1_fuser_linear", "output_blocks_0_2_conv", "output_blocks_12_1_proj_in", "output_blocks_3_1_conv",
      "down_blocks_0_attentions_0_fuser", "up_blocks_4_attentions_0_proj_in", "mid_block_attentions_0_fuser",
      "down_blocks_4_downsamplers_0_conv", "down_blocks_0_motion_modules_0_proj_in", "up_blocks_0_upsamplers_1_conv",
    ])
  func closed(path: String) {
    #expect(Self.diffusersPath(ofLDM: path) == nil)
    #expect(Self.ldmPath(ofDiffusers: path) == nil)
    #expect(TargetKey(spelledAnyhow: path, in: .denoiser).path == path)
  }

  @Test("names tell the kernels of convolutions")
  func kernels() {
    func kernel(_ path: String) -> [Int] { TargetKey(.denoiser, path).usualKernel }
    for path in [
      "conv_in", "conv_out", "down_blocks_0_resnets_0_conv1", "mid_block_resnets_1_conv2", "input_blocks_3_0_op",
      "down_blocks_2_downsamplers_0_conv", "output_blocks_2_1_conv", "input_blocks_0_0", "out_2",
      "middle_block_0_in_layers_2", "up_blocks_1_upsamplers_0_conv", "blocks_0_conv", "body_3_out_layers_3",
    ] {
      #expect(kernel(path) == [3, 3], "\(path)")
    }
    for path in [
      "conv_shortcut", "down_blocks_1_resnets_0_conv_shortcut", "time_embed_2", "mid_block_attentions_0_proj_in",
      "layers_0_fanout_2", "blocks_0_deconv", "mid_block_resnets_0_time_emb_proj",
    ] {
      #expect(kernel(path).isEmpty, "\(path)")
    }
    #expect(TargetKey(.textEncoder1, "conv_in").usualKernel.isEmpty)
    // Of a network that no map has, a bare word tells nothing.
    #expect(kernel("conv").isEmpty && kernel("conv1").isEmpty && kernel("stem_conv1") == [3, 3])
  }

  @Test("the attention of SD1.x stands in its shortest list of block weights")
  func attentionBlocks() {
    let blocks = Family.sd1.attentionBlocks
    #expect(blocks.count == 16 && blocks[0].label == "IN01" && blocks[6].label == "M00")
    #expect(blocks[2].modules[0] == "down_blocks_1_attentions_0_transformer_blocks_0_norm1")
    #expect(blocks.allSatisfy { $0.modules.count == 13 })
    #expect(Family.sdxl.attentionBlocks.map(\.label) == Array(Family.sdxl.blockLists[0].dropFirst()))
  }

  private func check(_ pairs: [(String, String)]) {
    for (ldm, diffusers) in pairs {
      #expect(Self.diffusersPath(ofLDM: ldm) == diffusers)
      #expect(Self.ldmPath(ofDiffusers: diffusers) == ldm)
    }
    #expect(Set(pairs.map(\.0)).count == pairs.count && Set(pairs.map(\.1)).count == pairs.count)
  }

  @Test(
    "other names are not taken for blocks of a UNet",
    arguments: [
      "double_blocks_0_img_attn_qkv", "transformer_blocks_0_attn_to_q", "input_blocks", "output_blocks_x_1_y",
      "middle_block_x_y",
      "input_blocks_3_0_conv", "encoder_layers_0_mlp_fc1", "", "down_blocks", "up_blocks_0",
    ])
  func others(path: String) {
    #expect(Self.diffusersPath(ofLDM: path) == nil)
    #expect(Self.ldmPath(ofDiffusers: path) == nil)
  }
}
