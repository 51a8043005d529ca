public import FoundationEssentials
import JSON

/// What a model's `scheduler_config.json` says about its noise, whichever sampler the file was written for.
///
/// A value that the file does not have is nil where diffusers' schedulers differ in their defaults: the sampler then takes
/// its own, as `DDIMScheduler.from_config(pipeline.scheduler.config)` and its like do. The file of Stable Diffusion 1.5 has
/// no `timestep_spacing`, so that DDIM's is leading and Euler's is linspace.
public struct SchedulerSettings: Codable, Equatable, Sendable {
  /// Timesteps of the table.
  public var timestepCount = 1000
  /// β of the first timestep; each sampler's own default when `nil`, as in diffusers.
  public var betaStart: Double?
  /// β of the last timestep; each sampler's own default when `nil`, as in diffusers.
  public var betaEnd: Double?
  /// How β grows between the two; each sampler's own default when `nil`, as in diffusers.
  public var betaSchedule: NoiseTable.BetaSchedule?
  /// What the model's output is: noise, velocity or the image.
  public var prediction = Prediction.epsilon
  /// Which timesteps are chosen; each sampler's own default when `nil`, as in diffusers.
  public var spacing: Spacing?
  /// Added to timesteps with leading spacing.
  public var stepsOffset = 0
  /// Whether DDIM's last step ends at the image itself instead of at the first timestep.
  public var setsAlphaToOne = true
  /// Whether DDIM and LCM clip x₀ to ±`clipRange`.
  public var clipsSample: Bool?
  /// The largest size of a number of x₀ where it is clipped; above 0.
  public var clipRange = 1.0
  /// Whether the table is rescaled so that the last timestep is pure noise, which needs another prediction than
  /// noise.
  public var rescalesToZeroTerminal = false
  /// Karras' noise levels, for the samplers whose name does not say whether they have them.
  public var usesKarrasSigmas = false
  /// Steps that LCM and TCD choose theirs from.
  public var originalSteps = 50
  /// What LCM multiplies timesteps by in the weights of its boundary condition.
  public var timestepScaling = 10.0

  /// The noise levels of a model that is a rectified flow: all else here is then without use. `nil` for a table of noise.
  public var flow: FlowSettings?

  enum CodingKeys: String, CodingKey {
    case timestepCount = "num_train_timesteps"
    case betaStart = "beta_start"
    case betaEnd = "beta_end"
    case betaSchedule = "beta_schedule"
    case prediction = "prediction_type"
    case spacing = "timestep_spacing"
    case stepsOffset = "steps_offset"
    case setsAlphaToOne = "set_alpha_to_one"
    case clipsSample = "clip_sample"
    case clipRange = "clip_sample_range"
    case rescalesToZeroTerminal = "rescale_betas_zero_snr"
    case usesKarrasSigmas = "use_karras_sigmas"
    case originalSteps = "original_inference_steps"
    case timestepScaling = "timestep_scaling"
  }

  /// A rectified flow.
  public init(flow: FlowSettings) {
    self.flow = flow
    timestepCount = flow.timestepCount
    prediction = .velocity
  }

  /// What diffusers takes for an empty `scheduler_config.json`.
  public init() {}

  /// Stable Diffusion 1, and 2 with ε prediction.
  public static var stableDiffusion1: SchedulerSettings {
    var settings = SchedulerSettings()
    (settings.betaStart, settings.betaEnd, settings.betaSchedule) = (0.00085, 0.012, .scaledLinear)
    (settings.stepsOffset, settings.setsAlphaToOne, settings.clipsSample) = (1, false, false)
    return settings
  }

  /// Stable Diffusion 2 with v prediction.
  public static var stableDiffusion2V: SchedulerSettings {
    var settings = stableDiffusion1
    settings.prediction = .velocity
    return settings
  }

  /// Stable Diffusion XL: as 1, with leading spacing for all samplers.
  public static var stableDiffusionXL: SchedulerSettings {
    var settings = stableDiffusion1
    settings.spacing = .leading
    return settings
  }

  /// Reads the text of a `scheduler_config.json`. Names that mean nothing here are ignored.
  /// - Throws: `SamplingError` for text that is not such an object, and for settings that ask for what no sampler here
  ///   can do.
  public init(json: Data) throws(SamplingError) {
    do {
      guard let value = JSONValue(parsing: String(decoding: json, as: UTF8.self)) else {
        throw SamplingError(.settingsText(reason: "expected a JSON object"))
      }
      self = try value.decoded(SchedulerSettings.self)
    } catch let error as SamplingError {
      throw error
    } catch {
      throw SamplingError(.settingsText(reason: "\(error)"))
    }
  }

  /// - Throws: `SamplingError` for numbers that no sampler can use.
  public func check() throws(SamplingError) {
    _ = try NoiseTable(
      betaStart: betaStart ?? 0.0001, betaEnd: betaEnd ?? 0.02, schedule: betaSchedule ?? .linear, count: timestepCount)
    guard abs(Double(stepsOffset)) < Double(timestepCount) else {
      throw SamplingError(
        .setting(name: "steps_offset", expected: "less than \(timestepCount)", found: "\(stepsOffset)"))
    }
    for (name, number) in [("clip_sample_range", clipRange), ("timestep_scaling", timestepScaling)] {
      guard Float(number).isFinite, number > 0 else {
        throw SamplingError(.setting(name: name, expected: "a number above 0", found: "\(number)"))
      }
    }
  }

  /// The table for a sampler.
  func table(for kind: SamplerKind) throws(SamplingError) -> NoiseTable {
    if rescalesToZeroTerminal, prediction == .epsilon { throw SamplingError(.zeroTerminal(prediction: prediction)) }
    let isConsistency = kind.isConsistencyModel
    return try NoiseTable(
      betaStart: betaStart ?? (isConsistency ? 0.00085 : 0.0001), betaEnd: betaEnd ?? (isConsistency ? 0.012 : 0.02),
      schedule: betaSchedule ?? (isConsistency ? .scaledLinear : .linear), count: timestepCount,
      rescaledToZeroTerminal: rescalesToZeroTerminal)
  }

  /// What x₀ is clipped to, or nil.
  func clipRange(for kind: SamplerKind) -> Float? {
    switch kind {
    case .ddim: clipsSample ?? true ? Float(clipRange) : nil
    case .lcm: clipsSample ?? false ? Float(clipRange) : nil
    case .euler, .eulerAncestral, .dpm2M, .dpm2MKarras, .dpm2MSDE, .uniPC, .tcd: nil
    }
  }

  func usesKarrasSigmas(for kind: SamplerKind) -> Bool {
    switch kind {
    case .dpm2MKarras: true
    case .euler, .uniPC, .dpm2MSDE: usesKarrasSigmas
    case .ddim, .eulerAncestral, .dpm2M, .lcm, .tcd: false
    }
  }
}
