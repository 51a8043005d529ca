import Tensors

/// The networks of a model in one file, by the beginnings of their tensors' names.
struct ComponentPrefix {
  /// What tensors without a known beginning are.
  let soleNetwork: Component
  /// AuraFlow's single files put nothing but "model." before their transformer, as language models do too.
  private let isAuraFlow: Bool

  init(soleNetwork: Component, names: some Sequence<String>) {
    self.soleNetwork = soleNetwork
    isAuraFlow = names.contains { $0.hasPrefix("model.double_layers.") }
  }

  /// Longest first where one begins with another.
  private static let prefixes: [(String, Component)] = [
    ("model.diffusion_model.", .denoiser), ("diffusion_model.", .denoiser), ("model.model.", .denoiser),
    ("net.", .denoiser), ("transformer.transformer_blocks.", .denoiser),
    ("first_stage_model.", .vae), ("vae.", .vae),
    ("cond_stage_model.transformer.", .textEncoder1), ("cond_stage_model.model.", .textEncoder1),
    ("conditioner.embedders.0.transformer.", .textEncoder1), ("conditioner.embedders.0.model.", .textEncoder2),
    ("conditioner.embedders.1.model.", .textEncoder2),
    ("text_encoders.clip_l.transformer.", .textEncoder1), ("text_encoders.clip_g.transformer.", .textEncoder2),
    ("text_encoders.t5xxl.transformer.", .textEncoder3),
    ("model_ema.", .other), ("control_model.", .other), ("conditioner.", .other), ("cond_stage_model.", .other),
    ("text_encoders.", .other),
  ]

  private static let tables = [
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_", "log_one_minus_", "posterior_", "v_pred", "ztsnr",
    "edm_vpred.", "edm_mean", "edm_std", "global_step", "optimizer",
  ]

  /// The component that a tensor of a single file belongs to, and its name there.
  func place(of name: String) -> (Component, String) {
    for (prefix, component) in Self.prefixes where name.hasPrefix(prefix) {
      return (component, name.dropping(prefix: prefix == "transformer.transformer_blocks." ? "transformer." : prefix))
    }
    if isAuraFlow, name.hasPrefix("model.") { return (.denoiser, name.dropping(prefix: "model.")) }
    if Self.tables.contains(where: { name.hasPrefix($0) }) { return (.other, name) }
    return (soleNetwork, name)
  }
}
