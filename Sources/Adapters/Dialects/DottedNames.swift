import Models
import Tensors

/// Names with dots, as several dialects have them: a network, and the module's name in it.
enum DottedNames {
  private static let prefixes: [(String, Component)] =
    [
      ("unet.", .denoiser), ("transformer.single_", .denoiser), ("transformer.transformer_blocks.", .denoiser),
      ("transformer_2.", .denoiser2), ("text_encoder_3.", .textEncoder3), ("text_encoder_2.", .textEncoder2),
      ("text_encoder.", .textEncoder1), ("model.diffusion_model.", .denoiser), ("diffusion_model.", .denoiser),
      ("prior.", .denoiser), ("net.", .denoiser), ("conditional_transformer.", .denoiser),
    ]
    + ["transformer.", ""].flatMap { level in
      Component.namedTextEncoders.map { ("text_encoders.\($0.name).\(level)", $0.component) }
    }

  static func key(of module: String) -> TargetKey {
    let (component, path) = path(of: module)
    return TargetKey(spelledAnyhow: path.underscored, in: component)
  }

  /// The module's name in the base, with dots, as current diffusers spells it; and the network it is in.
  static func path(of module: String) -> (component: Component, path: String) {
    var path = module
    var component = Component.denoiser
    // Not so after a PEFT prefix, where "transformer." is a language model's own module.
    if path.hasPrefix("transformer."), !path.hasPrefix("transformer.h.") { path.removeFirst("transformer.".count) }
    var isStripping = true
    while isStripping {
      isStripping = false
      if path.hasPrefix(PEFTDialect.prefix) {
        path = PEFTDialect.unwrapped(path)
        isStripping = true
      }
      for (prefix, owner) in prefixes where path.hasPrefix(prefix) {
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
    } else if path.hasSuffix(".to_out"), isOfProcessor || TargetKey(.denoiser, path.underscored).isOfUNet {
      // Early diffusers spoke of the attention's output as a whole. In transformers, `to_out` can be a module of its own.
      path += ".0"
    }
    return (component, path)
  }
}
