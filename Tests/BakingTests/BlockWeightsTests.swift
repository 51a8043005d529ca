import Adapters
import Checkpoints
import Factoring
import Models
import Testing

/// Proves that block weights mean what the presets of the web UIs mean by them.
@Suite struct BlockWeightsTests {
  @Test func listsOfKnownLength() {
    for count in 0...70 {
      #expect((BlockWeights([Double](repeating: 1, count: count)) != nil) == [12, 17, 20, 26, 61].contains(count))
    }
  }

  @Test(
    "SD1 adapters: 17 numbers",
    arguments: [
      ("input_blocks_1_1_proj_in", 1), ("input_blocks_8_1_proj_in", 6), ("middle_block_1_proj_in", 7),
      ("output_blocks_3_1_proj_in", 8), ("output_blocks_11_1_proj_in", 16), ("input_blocks_3_0_op", 0),
      ("time_embed_0", 0), ("down_blocks_0_attentions_0_proj_in", 1), ("up_blocks_3_attentions_2_proj_in", 16),
    ])
  func sd1(_ path: String, _ place: Int) throws {
    let weights = try #require(BlockWeights((0..<17).map(Double.init)))
    #expect(weights.weight(for: TargetKey(.denoiser, path)) == Double(place))
    #expect(weights.weight(for: TargetKey(.textEncoder1, "encoder_layers_0_mlp_fc1")) == 0)
  }

  @Test("SDXL adapters: 12 numbers")
  func sdxl() throws {
    let weights = try #require(BlockWeights((0..<12).map(Double.init)))
    for (path, place) in [
      ("input_blocks_4_1_proj_in", 1), ("middle_block_1_proj_in", 5), ("output_blocks_5_1_proj_in", 11),
    ] {
      #expect(weights.weight(for: TargetKey(.denoiser, path)) == Double(place))
    }
    #expect(weights.weight(for: TargetKey(.textEncoder2, "encoder_layers_0_mlp_fc1")) == 0)
  }

  @Test("Flux: 61 numbers in both dialects")
  func flux() throws {
    let weights = try #require(BlockWeights((0..<61).map(Double.init)))
    for (path, place) in [
      ("img_in", 2), ("double_blocks_0_img_attn_qkv", 3), ("transformer_blocks_18_attn_to_q", 21),
      ("single_blocks_0_linear1", 22), ("single_transformer_blocks_37_proj_out", 59), ("final_layer_linear", 60),
      ("proj_out", 60),
    ] {
      #expect(weights.weight(for: TargetKey(.denoiser, path)) == Double(place), "\(path)")
    }
    #expect(weights.weight(for: TargetKey(.textEncoder1, "text_model_encoder_layers_0_mlp_fc1")) == 0)
    #expect(weights.weight(for: TargetKey(.textEncoder2, "encoder_block_0_layer_0_SelfAttention_q")) == 1)
  }

  @Test("Named blocks leave all others alone")
  func named() {
    let weights = BlockWeights(named: ["M00": 0, "down_blocks.1": 0.5])
    #expect(weights.weight(for: TargetKey(.denoiser, "mid_block_attentions_0_proj_in")) == 0)
    #expect(weights.weight(for: TargetKey(.denoiser, "down_blocks_1_attentions_0_proj_in")) == 0.5)
    #expect(weights.weight(for: TargetKey(.denoiser, "up_blocks_1_attentions_0_proj_in")) == 1)
  }
}
