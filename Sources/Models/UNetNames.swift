/// Names of Stable Diffusion UNet modules: LDM/sgm blocks (single-file checkpoints, kohya SDXL) and diffusers blocks.
///
/// Rule (diffusers' single-file conversion): input block n = 1 + 3·level + layer, where the third place of a level
/// holds its downsampler; output block n = 3·level + layer, levels counted from the deepest. All SD1, SD2 and SDXL
/// UNets have two layers to a level on the way down and three on the way up.
package enum UNetNames {
  /// Whether a flattened path begins with a block of a UNet.
  package static func isInBlock(_ path: String) -> Bool {
    [
      "down_blocks_", "mid_block_", "up_blocks_", "input_blocks_", "middle_block_", "output_blocks_",
    ].contains(where: path.hasPrefix)
  }

  /// The diffusers spelling of a flattened LDM module, or `nil` when `path` is not one.
  ///
  /// `input_blocks_4_1_transformer_blocks_0_attn1_to_q` → `down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q`.
  package static func diffusersPath(ofLDM path: String) -> String? {
    for (ldm, diffusers) in wholeModules where path == ldm { return diffusers }
    let words = path.split(separator: "_", maxSplits: 4, omittingEmptySubsequences: false)
    guard words.count >= 4, words[1] == "block" || words[1] == "blocks" else { return nil }
    if words[0] == "middle", words[1] == "block", let place = number(words[2]) {
      let rest = words[3...].joined(separator: "_")
      return place == 1 ? "mid_block_attentions_0_" + rest : resnet("mid_block_resnets_\(place / 2)", rest)
    }
    guard let block = number(words[2]), let place = number(words[3]) else { return nil }
    let rest = words.count > 4 ? String(words[4]) : ""
    switch words[0] {
    case "input" where block > 0:
      let level = (block - 1) / 3, layer = (block - 1) % 3
      if layer == 2 { return rest == "op" ? "down_blocks_\(level)_downsamplers_0_conv" : nil }
      return place == 1
        ? "down_blocks_\(level)_attentions_\(layer)_\(rest)" : resnet("down_blocks_\(level)_resnets_\(layer)", rest)
    case "output":
      let level = block / 3, layer = block % 3
      if rest == "conv" { return "up_blocks_\(level)_upsamplers_0_conv" }
      return place == 1
        ? "up_blocks_\(level)_attentions_\(layer)_\(rest)" : resnet("up_blocks_\(level)_resnets_\(layer)", rest)
    default: return nil
    }
  }

  /// A number of a block. Names from strangers may hold any, and blocks are reckoned with.
  private static func number(_ word: Substring) -> Int? {
    Int(word).flatMap { (0..<1000).contains($0) ? $0 : nil }
  }

  private static func resnet(_ block: String, _ part: String) -> String? {
    resnetParts.first { $0.ldm == part }.map { "\(block)_\($0.diffusers)" }
  }

  private static let resnetParts: [(ldm: String, diffusers: String)] = [
    ("in_layers_2", "conv1"), ("out_layers_3", "conv2"), ("emb_layers_1", "time_emb_proj"),
    ("skip_connection", "conv_shortcut"), ("in_layers_0", "norm1"), ("out_layers_0", "norm2"),
  ]

  private static let wholeModules: [(ldm: String, diffusers: String)] = [
    ("input_blocks_0_0", "conv_in"), ("out_0", "conv_norm_out"), ("out_2", "conv_out"),
    ("time_embed_0", "time_embedding_linear_1"),
    ("time_embed_2", "time_embedding_linear_2"), ("label_emb_0_0", "add_embedding_linear_1"),
    ("label_emb_0_2", "add_embedding_linear_2"),
  ]

  /// The LDM spelling of a flattened diffusers module: the inverse of `diffusersPath(ofLDM:)`, but for the first
  /// upsampler of SD1 and SD2, which stands at place 1 there because its block has no attention. SDXL's all are at 2.
  package static func ldmPath(ofDiffusers path: String) -> String? {
    for (ldm, diffusers) in wholeModules where path == diffusers { return ldm }
    let words = path.split(separator: "_", maxSplits: 5, omittingEmptySubsequences: false)
    guard words.count == 6 || path.hasPrefix("mid_block_") else { return nil }
    if words[0] == "mid", words.count >= 5, let place = number(words[3]) {
      let rest = words[4...].joined(separator: "_")
      return words[2] == "attentions" ? "middle_block_1_" + rest : ldmResnet("middle_block_\(place * 2)", rest)
    }
    guard words[1] == "blocks", let level = number(words[2]), let layer = number(words[4]) else { return nil }
    let rest = String(words[5])
    switch (words[0], words[3]) {
    case ("down", "attentions"): return "input_blocks_\(1 + 3 * level + layer)_1_\(rest)"
    case ("down", "resnets"): return ldmResnet("input_blocks_\(1 + 3 * level + layer)_0", rest)
    case ("down", "downsamplers"): return "input_blocks_\(3 + 3 * level)_0_op"
    case ("up", "attentions"): return "output_blocks_\(3 * level + layer)_1_\(rest)"
    case ("up", "resnets"): return ldmResnet("output_blocks_\(3 * level + layer)_0", rest)
    case ("up", "upsamplers"): return "output_blocks_\(3 * level + 2)_2_conv"
    default: return nil
    }
  }

  private static func ldmResnet(_ block: String, _ part: String) -> String? {
    resnetParts.first { $0.diffusers == part }.map { "\(block)_\($0.ldm)" }
  }
}
