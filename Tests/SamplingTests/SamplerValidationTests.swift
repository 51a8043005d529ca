import FoundationEssentials
import Sampling
import TestSupport
import Testing

/// Proves that what does not go together is refused, with the numbers in the message.
@Suite struct SamplerValidationTests {
  @Test("Steps beyond what the table has", arguments: SamplerKind.allCases)
  func steps(kind: SamplerKind) throws {
    let limit = kind == .lcm || kind == .tcd ? 50 : 1000
    for steps in [-1, 0, limit + 1] {
      #expect(throws: SamplingError(.steps(sampler: kind, limit: limit, found: steps))) {
        try Sampler(kind, settings: .stableDiffusion1, steps: steps)
      }
    }
    #expect(try Sampler(kind, settings: .stableDiffusion1, steps: 1).timesteps.count == 1)
    #expect(try Sampler(kind, settings: .stableDiffusion1, steps: 50).timesteps.count == 50)
  }

  @Test("Steps that would fall on one timestep, or beyond the table")
  func timesteps() throws {
    var leading = SchedulerSettings.stableDiffusion1
    leading.spacing = .leading
    for kind in [SamplerKind.dpm2M, .uniPC, .ddim, .euler] {
      let expected = SamplingError(.timesteps(sampler: kind, spacing: .leading, count: 1000, steps: 1000))
      #expect(throws: expected) { try Sampler(kind, settings: leading, steps: 1000) }
      #expect(try Sampler(kind, settings: leading, steps: 499).timesteps.count == 499)
    }
    leading.stepsOffset = 0
    #expect(try Sampler(.ddim, settings: leading, steps: 1000).timesteps.first == 999)
  }

  @Test("Trailing spacing always has as many timesteps as steps, down to 0 at the least")
  func trailing() throws {
    var settings = SchedulerSettings.stableDiffusion1
    settings.spacing = .trailing
    for steps in 1...1000 {
      let timesteps = try Sampler(.ddim, settings: settings, steps: steps).timesteps
      #expect(timesteps.count == steps && timesteps[0] == 999 && timesteps[steps - 1] >= 0, "\(steps) steps")
    }
  }

  @Test("Zero terminal signal needs another prediction than noise", arguments: SamplerKind.allCases)
  func zeroTerminal(kind: SamplerKind) throws {
    var settings = SchedulerSettings.stableDiffusion1
    settings.rescalesToZeroTerminal = true
    #expect(throws: SamplingError(.zeroTerminal(prediction: .epsilon))) {
      try Sampler(kind, settings: settings, steps: 5)
    }
    settings.prediction = .velocity
    #expect(try Sampler(kind, settings: settings, steps: 5).timesteps.count == 5)
  }

  @Test("eta is for two samplers and lies in 0...1", arguments: SamplerKind.allCases)
  func eta(kind: SamplerKind) throws {
    let settings = SchedulerSettings.stableDiffusion1
    guard kind == .ddim || kind == .tcd else {
      #expect(throws: SamplingError(.etaWithoutUse(sampler: kind))) {
        try Sampler(kind, settings: settings, steps: 5, eta: 0)
      }
      return
    }
    for eta in [-0.1, 1.1, .infinity] {
      #expect(throws: SamplingError(.eta(found: eta))) { try Sampler(kind, settings: settings, steps: 5, eta: eta) }
    }
    #expect(throws: SamplingError.self) { try Sampler(kind, settings: settings, steps: 5, eta: .nan) }
  }

  @Test("Strengths that leave nothing to do, or more than there is")
  func strength() throws {
    let sampler = try Sampler(.euler, settings: .stableDiffusion1, steps: 10)
    for strength in [0, -0.5, 1.01, .infinity] {
      #expect(throws: SamplingError(.strength(found: strength))) { try sampler.firstIndex(strength: strength) }
    }
    #expect(throws: SamplingError.self) { try sampler.firstIndex(strength: .nan) }
    #expect(throws: SamplingError(.nothingToDo(strength: 0.09, steps: 10))) {
      try sampler.firstIndex(strength: 0.09)
    }
    #expect(try sampler.firstIndex(strength: 0.1) == 9)
    #expect(try sampler.firstIndex(strength: 0.75) == 3)
    #expect(try sampler.firstIndex(strength: 1) == 0)
  }

  @Test("LCM cannot choose more steps than the network was distilled with, nor be distilled with more than all")
  func original() throws {
    var settings = SchedulerSettings.stableDiffusion1
    settings.originalSteps = 4
    #expect(throws: SamplingError(.steps(sampler: .lcm, limit: 4, found: 5))) {
      try Sampler(.lcm, settings: settings, steps: 5)
    }
    for count in [0, -3, 1001] {
      settings.originalSteps = count
      #expect(throws: SamplingError.self) { try Sampler(.tcd, settings: settings, steps: 1) }
      // Nothing to the others.
      #expect(try Sampler(.ddim, settings: settings, steps: 1).timesteps.count == 1)
    }
  }

  @Test("Messages say what was expected and found")
  func messages() {
    #expect(
      SamplingError(.steps(sampler: .lcm, limit: 50, found: 60)).description == "lcm: steps: expected 1 to 50, found 60"
    )
    #expect(
      SamplingError(.strength(found: 2)).description == "strength: expected more than 0 and at most 1, found 2.0")
  }
}
