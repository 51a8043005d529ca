/// XLabs' names of Flux.1 targets, in the base checkpoint's words.
enum XLabsNames {
  /// `double_blocks.3.processor.qkv_lora1` → `double_blocks_3_img_attn_qkv`. A single block's `qkv_lora` changes only
  /// the first 9216 rows of `linear1`, so its path says so and matches no whole target.
  static func flattened(_ module: String) -> String {
    var path = module.hasPrefix("diffusion_model.") ? module.dropping(prefix: "diffusion_model.") : module
    let names =
      path.hasPrefix("single_blocks")
      ? ["qkv_lora": "linear1_qkv_rows", "proj_lora": "linear2"]
      : [
        "qkv_lora1": "img_attn_qkv", "qkv_lora2": "txt_attn_qkv", "proj_lora1": "img_attn_proj",
        "proj_lora2": "txt_attn_proj",
      ]
    for (old, new) in names where path.hasSuffix(".processor." + old) {
      path = path.dropLast(".processor.".count + old.count) + "." + new
    }
    return path.underscored
  }
}
