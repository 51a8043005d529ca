import Models
import Tensors

/// The networks of a model in one file, by the beginnings of their tensors' names.
struct ComponentPrefix {
  /// What tensors without a known beginning are.
  private let soleNetwork: Component
  /// What else stands before all names of that network.
  private let wrapper: String?
  private let levels: WrapperLevels

  /// - Parameter soleNetwork: what the folder says; the tensors may know better.
  init(soleNetwork: Component, names: [String]) {
    levels = WrapperLevels(names)
    let names = Set(names.map(levels.unwrapped))
    self.soleNetwork =
      soleNetwork != .denoiser
      ? soleNetwork : Self.soleNetworks.first { names.contains($0.0) }?.1 ?? .denoiser
    wrapper = Self.wrappers.first { names.contains($0.0) }?.1
  }

  /// Tensors of networks that also come alone.
  private static let soleNetworks: [(String, Component)] = [
    ("decoder.mid.block_1.conv1.weight", .vae), ("decoder.mid_block.resnets.0.conv1.weight", .vae),
    ("text_model.encoder.layers.0.layer_norm1.weight", .textEncoder1),
    ("transformer.resblocks.0.ln_1.weight", .textEncoder1),
    ("encoder.block.0.layer.0.SelfAttention.q.weight", .textEncoder1),
  ]

  /// Beginnings that are telling only together with what follows: language models have them too.
  private static let wrappers = [
    ("model.double_layers.0.attn.w1q.weight", "model."),
    ("transformer.transformer_blocks.0.attn.to_q.weight", "transformer."),
    ("transformer.transformer_blocks.0.attn1.to_q.weight", "transformer."),
  ]

  /// Longest first where one begins with another.
  private static let prefixes: [(String, Component)] =
    [
      ("model.diffusion_model.", .denoiser), ("diffusion_model.", .denoiser), ("model.model.", .denoiser),
      ("net.", .denoiser),
      ("first_stage_model.", .vae), ("vae.", .vae),
      ("cond_stage_model.transformer.", .textEncoder1), ("cond_stage_model.model.", .textEncoder1),
      ("conditioner.embedders.0.transformer.", .textEncoder1), ("conditioner.embedders.0.model.", .textEncoder2),
      ("conditioner.embedders.1.model.", .textEncoder2),
      ("model_ema.", .other), ("control_model.", .other), ("conditioner.", .other), ("cond_stage_model.", .other),
    ] + Component.namedTextEncoders.map { ("text_encoders.\($0.name).transformer.", $0.component) }
    + [("text_encoders.", .other)]

  private static let tables = [
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_", "log_one_minus_", "posterior_", "v_pred", "ztsnr",
    "edm_vpred.", "edm_mean", "edm_std", "global_step", "optimizer",
  ]

  /// The component that a tensor of a single file belongs to, and its name there.
  func place(of stored: String) -> (Component, String) {
    let name = levels.unwrapped(stored)
    for (prefix, component) in Self.prefixes where name.hasPrefix(prefix) {
      return (component, name.dropping(prefix: prefix))
    }
    if let wrapper, name.hasPrefix(wrapper) { return (.denoiser, name.dropping(prefix: wrapper)) }
    if Self.tables.contains(where: { name.hasPrefix($0) }) { return (.other, name) }
    return (soleNetwork, name)
  }
}
