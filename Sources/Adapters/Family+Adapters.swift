package import Checkpoints
import Tensors

extension Family {
  /// Works out the family from names and input widths; shapes decide, metadata never does.
  ///
  /// Source: the evidence that ComfyUI and kohya's loaders use, in the order of how sure it is.
  package static func detect(_ targets: [(key: TargetKey, inputs: Int)]) -> Family {
    let components = Set(targets.map(\.key.component))
    let denoiser = targets.filter { !$0.key.component.isTextEncoder }
    func has(_ parts: String...) -> Bool { denoiser.contains { target in parts.allSatisfy(target.key.path.includes) } }
    func inputs(_ part: String) -> Set<Int> { Set(denoiser.filter { $0.key.path.includes(part) }.map(\.inputs)) }

    if has("double_stream_modulation") || has("to_qkv_mlp_proj") { return .flux2 }
    if has("txt_in_individual") || has("img_mlp_fc1") { return .hunyuanVideo }
    if has("double_blocks_") || has("single_blocks_") || has("single_transformer_blocks_") {
      let widths = inputs("_blocks_")
      return widths.contains(3072) || widths.isEmpty
        ? (has("_mlp_fc2") ? .hunyuanVideo : .flux1) : widths.isDisjoint(with: [4096, 6144]) ? .flux1 : .flux2
    }
    if has("joint_blocks_") || has("transformer_blocks_", "attn_add_q_proj") {
      if has("img_mlp") || has("img_mod") { return .qwenImage }
      return .sd3
    }
    if has("transformer_blocks_", "img_mlp") || has("transformer_blocks_", "img_mod") { return .qwenImage }
    if has("blocks_", "adaln_modulation_") { return .cosmos }
    if has("blocks_", "self_attn_q") || has("blocks_", "ffn_0") { return .wan }
    if has("down_blocks_") || has("up_blocks_") || has("mid_block_") { return stableDiffusion(components, denoiser) }
    if has("layers_", "attention") {
      if inputs("attention").contains(3840) { return .zImage }
      if inputs("attention").contains(2304) { return .lumina2 }
    }
    if has("transformer_blocks_", "attn1_to_q") {
      if inputs("attn1_to_q").contains(1152) { return .pixart }
      if !inputs("attn1_to_q").isDisjoint(with: [2048, 4096]) { return .ltx }
    }
    if denoiser.isEmpty { return textEncodersOnly(targets, components) }
    let languageWords = [
      "self_attn_q_proj", "self_attn_v_proj", "attn_c_attn", "attn_c_proj", "query_key_value", "attention_self_query",
      "mlp_gate_proj", "q_lin", "v_lin",
    ]
    return languageWords.contains { has($0) } ? .languageModel : .unknown
  }

  private static func stableDiffusion(
    _ components: Set<Component>, _ denoiser: [(key: TargetKey, inputs: Int)]
  ) -> Family {
    if components.contains(.textEncoder2) { return .sdxl }
    let context = Set(
      denoiser.filter { $0.key.path.hasSuffix("attn2_to_k") || $0.key.path.hasSuffix("attn2_to_v") }.map(\.inputs))
    let depth =
      denoiser.compactMap { target -> Int? in
        let words = target.key.path.split(separator: "_")
        guard let place = words.firstIndex(of: "transformer"), place + 2 < words.count else { return nil }
        return Int(words[place + 2])
      }.max() ?? 0
    if context.contains(2048) || depth >= 4 { return .sdxl }
    if context.contains(768) { return .sd1 }
    if context.contains(1024) { return .sd2 }
    if context.contains(1280) { return .sdxlRefiner }
    return .unknown
  }

  private static func textEncodersOnly(
    _ targets: [(key: TargetKey, inputs: Int)], _ components: Set<Component>
  ) -> Family {
    if components.contains(.textEncoder2) { return .sdxl }
    let widths = Set(targets.map(\.inputs))
    return widths.contains(768) ? .sd1 : widths.contains(1024) ? .sd2 : .unknown
  }

  /// The family that training metadata claims, for a note when the shapes disagree.
  static func claimed(by metadata: [String: String]) -> Family? {
    let text = (metadata["modelspec.architecture"] ?? metadata["ss_base_model_version"] ?? "").lowercased()
    let words: [(String, Family)] = [
      ("refiner", .sdxlRefiner), ("xl", .sdxl), ("sd_v1", .sd1), ("sd_1", .sd1), ("diffusion-v1", .sd1),
      ("sd_v2", .sd2),
      ("sd_2", .sd2), ("diffusion-v2", .sd2), ("sd3", .sd3), ("diffusion-3", .sd3), ("flux2", .flux2), ("flux", .flux1),
      ("lumina", .lumina2), ("wan", .wan), ("qwen", .qwenImage),
    ]
    return words.first { text.contains($0.0) }?.1
  }
}
