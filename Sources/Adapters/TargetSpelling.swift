import Checkpoints

/// From a target's name in a file to its identity, and back to kohya's and diffusers' names.
enum TargetSpelling {
  /// - Parameter module: a tensor name less its suffix.
  static func key(of module: String, format: AdapterFormat) -> TargetKey {
    switch format {
    case .kohya: flatKey(module)
    case .xlabs: TargetKey(.denoiser, XLabsNames.flattened(module))
    case .diffusers, .peft, .native, .cloneofsimo: dottedKey(module)
    }
  }

  private static let flatPrefixes: [(String, Component)] = [
    ("lora_unet__", .denoiser), ("lora_unet_", .denoiser), ("lora_te1_", .textEncoder1), ("lora_te2_", .textEncoder2),
    ("lora_te3_", .textEncoder3), ("lora_te_", .textEncoder1), ("lora_transformer_", .denoiser),
    ("lora_prior_unet_", .denoiser), ("lora_prior_te_", .textEncoder1), ("lycoris_", .denoiser),
    ("oft_unet_", .denoiser),
    ("diffusion_model_", .denoiser),
  ]

  static func hasFlatPrefix(_ module: String) -> Bool {
    !module.contains(".") && flatPrefixes.contains { module.hasPrefix($0.0) }
  }

  private static func flatKey(_ module: String) -> TargetKey {
    for (prefix, component) in flatPrefixes where module.hasPrefix(prefix) {
      return TargetKey(component, canonicalPath(module.dropping(prefix: prefix), component))
    }
    return TargetKey(.denoiser, module)
  }

  private static let dottedPrefixes: [(String, Component)] = [
    ("unet.", .denoiser), ("transformer.single_", .denoiser), ("transformer.transformer_blocks.", .denoiser),
    ("transformer_2.", .denoiser2), ("text_encoders.clip_l.transformer.", .textEncoder1),
    ("text_encoders.clip_g.transformer.", .textEncoder2),
    ("text_encoders.t5xxl.transformer.", .textEncoder3), ("text_encoders.clip_l.", .textEncoder1),
    ("text_encoders.clip_g.", .textEncoder2), ("text_encoders.t5xxl.", .textEncoder3),
    ("text_encoder_3.", .textEncoder3), ("text_encoder_2.", .textEncoder2),
    ("text_encoder.", .textEncoder1), ("model.diffusion_model.", .denoiser), ("diffusion_model.", .denoiser),
    ("prior.", .denoiser),
    ("net.", .denoiser),
  ]

  private static func dottedKey(_ module: String) -> TargetKey {
    let (component, path) = dottedPath(of: module)
    return TargetKey(component, canonicalPath(path.underscored, component))
  }

  /// The module's name in the base, with dots, as current diffusers spells it; and the network it is in.
  static func dottedPath(of module: String) -> (component: Component, path: String) {
    var path = module
    var component = Component.denoiser
    // Not so after a PEFT prefix, where "transformer." is a language model's own module.
    if path.hasPrefix("transformer."), !path.hasPrefix("transformer.h.") { path.removeFirst("transformer.".count) }
    var isStripping = true
    while isStripping {
      isStripping = false
      if path.hasPrefix("base_model.model.") {
        path.removeFirst("base_model.model.".count)
        isStripping = true
      }
      for (prefix, owner) in dottedPrefixes where path.hasPrefix(prefix) {
        // "transformer." names the component only before a block of a diffusion transformer; language models have
        // modules of that name.
        path.removeFirst(prefix.hasPrefix("transformer.") ? "transformer.".count : prefix.count)
        component = owner
        isStripping = true
        break
      }
    }
    let isOfProcessor = path.includes(".processor")
    if isOfProcessor { path = path.replacing(".processor", with: "") }
    if component.isTextEncoder {
      for (old, new) in [("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out", "out_proj")]
      where path.hasSuffix("." + old) {
        path = path.dropLast(old.count) + new
      }
    } else if path.hasSuffix(".to_out"), isOfProcessor || UNetNames.isInBlock(path.underscored) {
      // Early diffusers spoke of the attention's output as a whole. In transformers, `to_out` can be a module of its own.
      path += ".0"
    }
    return (component, path)
  }

  /// Makes flattened spellings of one module equal: diffusers' block names for Stable Diffusion UNets, and text
  /// encoders without the level that newer transformers dropped.
  private static func canonicalPath(_ path: String, _ component: Component) -> String {
    if component.isTextEncoder {
      return path.hasPrefix("text_model_") ? path.dropping(prefix: "text_model_") : path
    }
    return UNetNames.diffusersPath(ofLDM: path) ?? path
  }
}
