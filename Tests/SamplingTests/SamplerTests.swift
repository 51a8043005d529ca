import Sampling
import TestSupport
import Testing

/// Proves every sampler against diffusers, step by step, with the order of random draws.
@Suite struct SamplerTests {
  @Test("Timesteps, noise levels and every step are those of diffusers", arguments: TrajectoryGolden.all)
  func trajectories(golden: TrajectoryGolden) throws {
    let sampler = try Sampler(golden.kind, settings: golden.settings, steps: golden.steps, eta: golden.eta)
    let isFractional = golden.kind == .euler && golden.settings.usesKarrasSigmas
    #expect(sampler.timesteps.count == golden.steps)
    for (found, expected) in zip(sampler.timesteps, golden.timesteps.values) {
      #expect(abs(found - expected) <= (isFractional ? 5e-4 : 0), "timestep \(found), expected \(expected)")
    }
    let scale = try #require(golden.scale.values.first)
    #expect(abs(sampler.initialNoiseScale - scale) <= 1e-6 * scale)

    for (index, sigma) in (golden.sigmas?.values ?? []).dropLast().enumerated() {
      let image = sampler.noised([1], with: [0], at: index)[0]
      let level = sampler.noised([0], with: [1], at: index)[0]
      #expect(abs(level / image - sigma) <= 1e-6 * sigma, "noise level before step \(index)")
      let isScaled = golden.kind == .euler || golden.kind == .eulerAncestral
      let scale = isScaled ? 1 / (sigma * sigma + 1).squareRoot() : 1
      #expect(abs(sampler.inputScale(at: index) - scale) <= 1e-6 * scale, "scale of the input of step \(index)")
    }

    var noise = TorchNoise(seed: golden.seed)
    var start = noise.normals(count: 70)
    if let strength = golden.strength {
      #expect(try sampler.firstIndex(strength: strength) == golden.first)
      start = sampler.noised(start, with: noise.normals(count: 70), at: golden.first)
    } else {
      start = start.map { $0 * sampler.initialNoiseScale }
    }
    // From σ = 4096, single precision leaves few digits after the first step: diffusers itself differs by 4e-5 between
    // square roots of one library and another. Everywhere else it differs by 1e-6 at most.
    let isSteep = golden.settings.rescalesToZeroTerminal && (golden.kind == .euler || golden.kind == .eulerAncestral)
    let limit: Float = isSteep ? 1e-4 : 5e-6
    let samples = trajectory(sampler, from: start, first: golden.first, noise: &noise)
    #expect(samples.count == golden.samples.count)
    for (step, (found, expected)) in zip(samples, golden.samples).enumerated() {
      let difference = largestDifference(found, expected.values)
      #expect(difference <= limit, "after \(step) steps")
    }
    #expect(noise.normals(count: 3) == golden.after.values, "other draws than diffusers")
  }

  @Test("What a run draws is what it says it draws", arguments: SamplerKind.allCases)
  func draws(kind: SamplerKind) throws {
    struct Counting: NoiseSource {
      var calls = 0
      mutating func normals(count: Int) -> [Float] {
        calls += 1
        return .init(repeating: 0.5, count: count)
      }
    }
    let eta = kind == .ddim ? 0.5 : nil
    let sampler = try Sampler(kind, settings: .stableDiffusion1, steps: 5, eta: eta)
    var noise = Counting()
    _ = trajectory(sampler, from: .init(repeating: 1, count: 6), noise: &noise)
    #expect(noise.calls == (0..<5).count { sampler.drawsNoise(at: $0) })
  }

  @Test("A copy of a fresh sampler starts afresh", arguments: SamplerKind.allCases)
  func copies(kind: SamplerKind) throws {
    let sampler = try Sampler(kind, settings: .stableDiffusionXL, steps: 6)
    let runs = (0..<2).map { _ in
      var noise = TorchNoise(seed: 4)
      return trajectory(sampler, from: noise.normals(count: 33), noise: &noise)
    }
    #expect(runs[0] == runs[1])
  }

  @Test("Images of a batch do not touch each other", arguments: SamplerKind.allCases)
  func batches(kind: SamplerKind) throws {
    let sampler = try Sampler(kind, settings: .stableDiffusion1, steps: 4)
    var alone: [[Float]] = []
    for seed in [1, 2] as [UInt64] {
      var noise = TorchNoise(seed: seed)
      alone.append(trajectory(sampler, from: noise.normals(count: 40), noise: &noise).last ?? [])
    }
    var noise = BatchNoise([TorchNoise(seed: 1), TorchNoise(seed: 2)])
    let together = trajectory(sampler, from: noise.normals(count: 80), noise: &noise).last
    #expect(together == alone[0] + alone[1])
  }

  @Test("All predictions mean the same when the outputs do", arguments: SamplerKind.allCases)
  func predictions(kind: SamplerKind) throws {
    // A network that knows the image: from a sample before a step it tells noise, velocity or image.
    let image = (0..<48).map { Float($0 % 7) / 5 - 0.6 }
    var ends: [[Float]] = []
    for prediction in Prediction.allCases {
      var settings = SchedulerSettings.stableDiffusion1
      settings.prediction = prediction
      var sampler = try Sampler(kind, settings: settings, steps: 7)
      let table = try NoiseTable(betaStart: 0.00085, betaEnd: 0.012, schedule: .scaledLinear, count: 1000)
      var noise = TorchNoise(seed: 12)
      var sample = noise.normals(count: 48).map { $0 * sampler.initialNoiseScale }
      for (index, timestep) in sampler.timesteps.enumerated() {
        let cumulative = table.cumulativeAlphas[Int(timestep)]
        let lower = table.sigmas[Int(timestep)]
        let upper = table.sigmas[min(Int(timestep) + 1, 999)]
        let level = lower + (upper - lower) * (timestep - timestep.rounded(.down))
        let (alpha, sigma) =
          timestep == timestep.rounded()
          ? (cumulative.squareRoot(), (1 - cumulative).squareRoot())
          : (1 / (level * level + 1).squareRoot(), level / (level * level + 1).squareRoot())
        let scale = sampler.inputScale(at: index)
        let output = zip(sample, image).map { value, clean in
          let epsilon = (value * scale - alpha * clean) / sigma
          return switch prediction {
          case .epsilon: epsilon
          case .velocity: alpha * epsilon - sigma * clean
          case .sample: clean
          }
        }
        sampler.step(output: output, sample: &sample, index: index, noise: &noise)
      }
      ends.append(sample)
    }
    #expect(largestDifference(ends[0], ends[2]) <= 2e-4)
    #expect(largestDifference(ends[1], ends[2]) <= 2e-4)
    // A run that ends at the image itself finds it.
    if kind != .ddim, kind != .tcd, kind != .dpm2MKarras { #expect(largestDifference(ends[2], image) <= 2e-4) }
  }
}
