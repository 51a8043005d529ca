/// The samplers, by their names on the command line.
public enum SamplerKind: String, CaseIterable, Codable, Sendable {
  /// Song, Meng and Ermon 2020 (arXiv:2010.02502), with eta.
  case ddim
  /// Karras and others 2022 (arXiv:2206.00364), algorithm 2 without churn.
  case euler
  /// Euler with noise added at each step (k-diffusion's ancestral sampling).
  case eulerAncestral = "euler-a"
  /// DPM-Solver++(2M), midpoint (Lu and others 2022, arXiv:2211.01095).
  case dpm2M = "dpm++2m"
  /// The same with Karras' noise levels.
  case dpm2MKarras = "dpm++2m-karras"
  /// SDE-DPM-Solver++(2M): the same equation with noise.
  case dpm2MSDE = "dpm++2m-sde"
  /// UniPC of order 2, B₂(h) (Zhao and others 2023, arXiv:2302.04867).
  case uniPC = "unipc"
  /// Latent consistency models (Luo and others 2023, arXiv:2310.04378).
  case lcm
  /// Trajectory consistency distillation (Zheng and others 2024, arXiv:2402.19159), with eta.
  case tcd

  /// How diffusers' scheduler spaces its timesteps where the settings do not say. LCM and TCD have a rule of their own.
  public var defaultSpacing: Spacing {
    switch self {
    case .ddim, .lcm, .tcd: .leading
    case .euler, .eulerAncestral, .dpm2M, .dpm2MKarras, .dpm2MSDE, .uniPC: .linspace
    }
  }

  /// The eta used where none is asked for; nil where the sampler has none.
  public var defaultEta: Double? {
    switch self {
    case .ddim: 0
    case .tcd: 0.3
    case .euler, .eulerAncestral, .dpm2M, .dpm2MKarras, .dpm2MSDE, .uniPC, .lcm: nil
    }
  }

  /// Whether it is one of distilled models, which need few steps and no guidance.
  public var isConsistencyModel: Bool { self == .lcm || self == .tcd }

  /// The steps where nobody says a number.
  ///
  /// - Parameter count: of models that are not distilled.
  public func usualSteps(otherwise count: Int) -> Int { isConsistencyModel ? 4 : count }
}
