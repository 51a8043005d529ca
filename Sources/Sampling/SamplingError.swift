/// Why a sampler cannot be made or started.
public struct SamplingError: Error, Equatable, CustomStringConvertible {
  /// What is wrong. Settings are named as `scheduler_config.json` names them.
  public enum Kind: Equatable, Sendable {
    case settingsText(reason: String)
    case setting(name: String, expected: String, found: String)
    case zeroTerminal(prediction: Prediction)
    case steps(sampler: SamplerKind, limit: Int, found: Int)
    case timesteps(sampler: SamplerKind, spacing: Spacing, count: Int, steps: Int)
    case eta(found: Double)
    case etaWithoutUse(sampler: SamplerKind)
    /// A rectified flow with a sampler that is only known for tables of noise.
    case notOfFlows(sampler: SamplerKind)
    case strength(found: Double)
    case nothingToDo(strength: Double, steps: Int)
  }

  /// What is wrong, for those who add which file or option it came from.
  public let kind: Kind

  /// Without a file: those who read the settings know it.
  public init(_ kind: Kind) { self.kind = kind }

  /// The message, with a hint where one helps.
  public var description: String {
    switch kind {
    case .settingsText(let reason): "scheduler settings: \(reason)"
    case .setting(let name, let expected, let found):
      "scheduler settings: \(name): expected \(expected), found \(found)"
    case .zeroTerminal(let prediction):
      "scheduler settings: prediction_type: expected v_prediction or sample with rescale_betas_zero_snr, found "
        + "\(prediction.rawValue); hint: from pure noise, predicted noise says nothing about the image"
    case .steps(let sampler, let limit, let found):
      "\(sampler.rawValue): steps: expected 1 to \(limit), found \(found)"
    case .timesteps(let sampler, let spacing, let count, let steps):
      "\(sampler.rawValue): steps: expected as many as have different timesteps below \(count) with \(spacing.rawValue) "
        + "spacing, found \(steps); hint: take fewer steps"
    case .eta(let found): "eta: expected 0 to 1, found \(found)"
    case .etaWithoutUse(let sampler):
      "\(sampler.rawValue): eta: expected none, found one; hint: only ddim and tcd have it"
    case .notOfFlows(let sampler):
      "sampler: expected euler, ddim or dpm++2m for a rectified flow, found \(sampler.rawValue)"
    case .strength(let found): "strength: expected more than 0 and at most 1, found \(found)"
    case .nothingToDo(let strength, let steps):
      "strength: expected at least 1 / steps, found \(strength) with \(steps) steps; hint: take more steps"
    }
  }
}
