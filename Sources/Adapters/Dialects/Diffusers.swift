import Models
import Tensors

/// `unet.down_blocks.0.….lora_A.weight` and its older spellings.
///
/// Source: diffusers' pipelines and training scripts.
struct DiffusersDialect: Dialect {
  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool {
    let beginnings = [
      "unet.", "transformer.", "transformer_2.", "text_encoder", "prior.", "down_blocks.", "up_blocks.", "mid_block.",
      "transformer_blocks.", "text_conditioner.", "connectors.",
    ]
    return modules.contains { module in beginnings.contains(where: module.hasPrefix) }
  }

  /// Names without `unet.` before them, as diffusers wrote them until 0.14.
  func isOutdated(_ modules: [String]) -> Bool {
    modules.contains { $0.includes(".processor.") && !$0.hasPrefix("unet.") && !$0.hasPrefix("text_encoder") }
  }

  var alphaRule: AlphaRule { .metadata }
  var namesNetworks: Bool { true }
  var countsLikePipelines: Bool { true }

  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? {
    dotted.map { setting.family.standsAlone($0) ? $0 : Self.prefix(of: key.component, isUNet: setting.isUNet) + $0 }
  }

  /// What a pipeline calls its networks.
  static func prefix(of component: Component, isUNet: Bool) -> String {
    switch component {
    case .denoiser: isUNet ? "unet." : "transformer."
    case .denoiser2: "transformer_2."
    case .textEncoder1: "text_encoder."
    case .textEncoder2: "text_encoder_2."
    case .textEncoder3: "text_encoder_3."
    case .vae: "vae."
    case .other: ""
    }
  }
}
