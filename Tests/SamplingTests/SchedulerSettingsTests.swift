import FoundationEssentials
import Sampling
import TestSupport
import Testing

/// Proves that the settings of published models mean to each sampler what they mean to diffusers.
@Suite struct SchedulerSettingsTests {
  private static func settings(of file: String) throws -> SchedulerSettings {
    try SchedulerSettings(json: Data(#require(SettingsGolden.document.files[file]).utf8))
  }

  @Test("Each sampler made from the settings of a model", arguments: SettingsGolden.document.cases)
  func samplers(golden: SettingsGolden) throws {
    let settings = try Self.settings(of: golden.file)
    var sampler = try Sampler(golden.kind, settings: settings, steps: golden.steps)
    #expect(sampler.timesteps == golden.timesteps.values)
    let scale = try #require(golden.scale.values.first)
    #expect(abs(sampler.initialNoiseScale - scale) <= 1e-6 * scale)
    var noise = TorchNoise(seed: 3)
    var sample = noise.normals(count: 70).map { $0 * sampler.initialNoiseScale }
    let inputScale = sampler.inputScale(at: 0)
    let output = standIn(sample.map { $0 * inputScale }, timestep: sampler.timesteps[0])
    sampler.step(output: output, sample: &sample, index: 0, noise: &noise)
    #expect(largestDifference(sample, golden.sample.values) <= 2e-5)
  }

  @Test("The settings that come with the room are those of the files")
  func presets() throws {
    #expect(try Self.settings(of: "sd1") == .stableDiffusion1)
    #expect(try Self.settings(of: "sd2-v") == .stableDiffusion2V)
    #expect(try Self.settings(of: "sdxl") == .stableDiffusionXL)
    #expect(try Self.settings(of: "empty") == SchedulerSettings())
  }

  @Test("Settings survive being written", arguments: ["sd1", "sd2-v", "sdxl", "turbo", "lcm", "zero", "empty"])
  func coding(file: String) throws {
    let settings = try Self.settings(of: file)
    #expect(try SchedulerSettings(json: JSONEncoder().encode(settings)) == settings)
  }

  @Test(
    "Settings that no sampler here heeds are refused by name",
    arguments: [
      (#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#, "_class_name"),
      (#"{"_class_name": "EDMEulerScheduler"}"#, "_class_name"),
      (#"{"trained_betas": [0.1, 0.2]}"#, "trained_betas"), (#"{"thresholding": true}"#, "thresholding"),
      (#"{"timestep_type": "continuous"}"#, "timestep_type"),
      (#"{"interpolation_type": "log_linear"}"#, "interpolation_type"),
      (#"{"final_sigmas_type": "sigma_min"}"#, "final_sigmas_type"),
      (#"{"use_exponential_sigmas": true}"#, "use_exponential_sigmas"),
      (#"{"use_beta_sigmas": true}"#, "use_beta_sigmas"), (#"{"use_flow_sigmas": true}"#, "use_flow_sigmas"),
      (#"{"use_lu_lambdas": true}"#, "use_lu_lambdas"), (#"{"sigma_max": 80.0}"#, "sigma_max"),
      (#"{"sigma_min": 0.002}"#, "sigma_min"), (#"{"beta_schedule": "squaredcos_cap_v2"}"#, "beta_schedule"),
      (#"{"prediction_type": "flow_prediction"}"#, "prediction_type"),
      (#"{"timestep_spacing": "sideways"}"#, "timestep_spacing"),
    ])
  func refused(text: String, name: String) throws {
    let error = try #require(throws: SamplingError.self) { try SchedulerSettings(json: Data(text.utf8)) }
    guard case .setting(name, _, _) = error.kind else {
      Issue.record("expected a complaint about \(name), found \(error)")
      return
    }
  }

  @Test("The harmless values of the same settings are read")
  func harmless() throws {
    let text = """
      {"trained_betas": null, "thresholding": false, "timestep_type": "discrete", "interpolation_type": "linear",
       "final_sigmas_type": "zero", "use_exponential_sigmas": null, "use_beta_sigmas": false, "sigma_max": null,
       "use_karras_sigmas": null, "something_else": {"a": [1]}, "solver_order": 2}
      """
    #expect(try SchedulerSettings(json: Data(text.utf8)) == SchedulerSettings())
  }

  @Test("Text that holds no settings", arguments: ["", "[]", "{", #"{"steps_offset": "one"}"#, #"{"beta_start": {}}"#])
  func text(text: String) throws {
    let error = try #require(throws: SamplingError.self) { try SchedulerSettings(json: Data(text.utf8)) }
    guard case .settingsText = error.kind else {
      Issue.record("expected a complaint about the text, found \(error)")
      return
    }
  }
}
