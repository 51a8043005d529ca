import Models
import Tensors

/// `double_blocks.0.processor.qkv_lora1.down.weight`: XLabs' adapters for Flux.1.
struct XLabsDialect: Dialect {
  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool { modules.contains(where: isOwn) }

  /// The `_lora1` belongs to the module's name.
  func parsed(_ tensor: String) -> ParsedKey? {
    guard isOwn(tensor) else { return nil }
    for (suffix, role) in [(".down.weight", Role.down), (".up.weight", .up)] where tensor.hasSuffix(suffix) {
      return ParsedKey(module: tensor.dropping(suffix: suffix), role: role, label: String(suffix.dropFirst()))
    }
    return nil
  }

  private func isOwn(_ name: String) -> Bool {
    name.includes(".processor.qkv_lora") || name.includes(".processor.proj_lora")
  }

  /// `double_blocks.3.processor.qkv_lora1` → `double_blocks_3_img_attn_qkv`. A single block's `qkv_lora` changes only
  /// the first 9216 rows of `linear1`, so its path says so and matches no whole target.
  func key(of module: String) -> TargetKey {
    var path = module.hasPrefix("diffusion_model.") ? module.dropping(prefix: "diffusion_model.") : module
    let names =
      path.hasPrefix("single_blocks")
      ? ["qkv_lora": "linear1" + TargetKey.firstRowsEnding, "proj_lora": "linear2"]
      : [
        "qkv_lora1": "img_attn_qkv", "qkv_lora2": "txt_attn_qkv", "proj_lora1": "img_attn_proj",
        "proj_lora2": "txt_attn_proj",
      ]
    for (old, new) in names where path.hasSuffix(".processor." + old) {
      path = path.dropLast(".processor.".count + old.count) + "." + new
    }
    return TargetKey(.denoiser, path.underscored)
  }

  var alphaRule: AlphaRule { .none }
  var keepsNames: Bool { true }
  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? { nil }

  func tensorNames(of module: String) -> Target.TensorNames {
    .init(up: module + ".up.weight", down: module + ".down.weight")
  }
}
