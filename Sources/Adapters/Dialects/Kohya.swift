import Models
import Tensors

/// `lora_unet_down_blocks_0_….lora_down.weight` with an alpha tensor: kohya, LyCORIS, OneTrainer, musubi.
///
/// Source: sd-scripts, LyCORIS, OneTrainer and musubi-tuner.
struct KohyaDialect: Dialect {
  private static let prefixes: [(String, Component)] = [
    ("lora_unet__", .denoiser), ("lora_unet_", .denoiser), ("lora_te1_", .textEncoder1), ("lora_te2_", .textEncoder2),
    ("lora_te3_", .textEncoder3), ("lora_te_", .textEncoder1), ("lora_transformer_", .denoiser),
    ("lora_prior_unet_", .denoiser), ("lora_prior_te_", .textEncoder1), ("lycoris_", .denoiser),
    ("oft_unet_", .denoiser), ("diffusion_model_", .denoiser),
  ]

  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool {
    modules.contains { module in
      !module.contains(".")
        && (Self.prefixes.contains { module.hasPrefix($0.0) } || module.hasPrefix("lora_llm_adapter_"))
    }
  }

  func key(of module: String) -> TargetKey {
    // Anima's adapter between its text encoder and its transformer is a part of the transformer's file.
    if module.hasPrefix("lora_llm_adapter_") { return TargetKey(.denoiser, module.dropping(prefix: "lora_")) }
    for (prefix, component) in Self.prefixes where module.hasPrefix(prefix) {
      return TargetKey(spelledAnyhow: module.dropping(prefix: prefix), in: component)
    }
    return TargetKey(.denoiser, module)
  }

  var alphaRule: AlphaRule { .tensor }
  var holdsVectors: Bool { true }

  /// Kohya's names of Stable Diffusion are diffusers', of which `module` makes the authors' where SDXL has them.
  func layout(in family: Family) -> ModuleNames.Dialect {
    family.hasUNet ? .diffusers : .original
  }

  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? {
    // A cloneofsimo number that could not be given a name, or a part of a target's rows.
    guard !key.path.contains(":"), key == key.ofWholeWeight else { return nil }
    switch key.component {
    case .denoiser:
      let names = ModuleNames.unet(of: setting.family)
      let usesAuthorsNames = setting.isUNet && setting.family.kohyaUsesOriginalNames
      return setting.flatPrefix + (usesAuthorsNames ? names.flat(key.path, in: .original) ?? key.path : key.path)
    case .textEncoder1:
      return (setting.hasOneTextEncoder ? "lora_te_" : "lora_te1_") + TargetKey.belowTextModel(key.path)
    case .textEncoder2: return "lora_te2_" + TargetKey.belowTextModel(key.path)
    case .textEncoder3: return "lora_te3_" + key.path
    case .denoiser2, .vae, .other: return nil
    }
  }

  func tensorNames(of module: String) -> Target.TensorNames {
    .init(up: module + ".lora_up.weight", down: module + ".lora_down.weight", alpha: module + ".alpha")
  }
}
