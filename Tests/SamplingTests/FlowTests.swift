import Foundation
import TestSupport
import Testing

@testable import Sampling

@Suite struct FlowTests {
  @Test("noise levels are those of diffusers' scheduler and of ComfyUI's simple one")
  func levels() {
    // FlowMatchEulerDiscreteScheduler(shift=3) with the levels 1, 7/8, … 1/8, diffusers 0.42.1.
    let expected: [Float] = [1, 0.9545454, 0.9, 0.8333333, 0.75, 0.6428571, 0.5, 0.3, 0]
    let found = FlowSettings(shift: 3).sigmas(steps: 8)
    #expect(found.count == 9 && zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-6 })
    #expect(FlowSettings().sigmas(steps: 4) == [1, 0.75, 0.5, 0.25, 0])
    #expect(FlowSettings(shift: 3).sigmas(steps: 1) == [1, 0])
  }

  private func sampler(_ kind: SamplerKind, _ steps: Int, eta: Double? = nil) throws -> Sampler {
    try Sampler(kind, settings: SchedulerSettings(flow: FlowSettings(shift: 3)), steps: steps, eta: eta)
  }

  /// Runs a sampler along a velocity that bends.
  private func run(_ kind: SamplerKind, _ steps: Int) throws -> (start: Double, end: Double, levels: [Double]) {
    var sampler = try sampler(kind, steps), noise: any NoiseSource = TorchNoise(seed: 1)
    var sample: [Float] = [1.25]
    for index in 0..<steps {
      let sigma = sampler.timesteps[index] / 1000
      sampler.step(
        output: [Float(velocity(Double(sample[0]), Double(sigma)))], sample: &sample, index: index, noise: &noise)
    }
    return (1.25, Double(sample[0]), FlowSettings(shift: 3).sigmas(steps: steps).map(Double.init))
  }

  private func velocity(_ x: Double, _ sigma: Double) -> Double { 0.7 * x - cos(3 * sigma) }

  @Test("Euler and DDIM follow the velocity", arguments: [SamplerKind.euler, .ddim])
  func euler(_ kind: SamplerKind) throws {
    let (start, end, levels) = try run(kind, 7)
    var x = start
    for (now, next) in zip(levels, levels.dropFirst()) { x += (next - now) * velocity(x, now) }
    #expect(abs(end - x) <= 1e-6)
  }

  @Test("DPM++ 2M takes the steps of its equations on -ln sigma")
  func dpm() throws {
    let (start, end, levels) = try run(.dpm2M, 7)
    var x = start, old = 0.0
    for index in 0..<7 {
      let now = levels[index], next = levels[index + 1], clean = x - now * velocity(x, now)
      if next == 0 {
        x = clean
      } else {
        let h = -log(next) + log(now)
        var weighed = clean
        if index > 0 {
          let r = (-log(now) + log(levels[index - 1])) / h
          weighed = (1 + 1 / (2 * r)) * clean - 1 / (2 * r) * old
        }
        x = next / now * x - expm1(-h) * weighed
      }
      old = clean
    }
    #expect(abs(end - x) <= 2e-6)
  }

  @Test("a picture to start from is mixed with noise")
  func start() throws {
    let sampler = try sampler(.euler, 8), index = try sampler.firstIndex(strength: 0.5)
    #expect(index == 4)
    let mixed = sampler.noised([2], with: [10], at: index)[0]
    #expect(abs(mixed - (0.25 * 2 + 0.75 * 10)) <= 1e-5 && sampler.initialNoiseScale == 1)
  }

  @Test("samplers for tables of noise are refused, and so is fresh noise")
  func refusals() throws {
    for kind in [SamplerKind.eulerAncestral, .dpm2MKarras, .dpm2MSDE, .uniPC, .lcm, .tcd] {
      let error = try #require(throws: SamplingError.self) { try sampler(kind, 4) }
      #expect(
        error.description
          == "sampler: expected euler, ddim or dpm++2m for a rectified flow, found \(kind.rawValue)")
    }
    #expect(throws: SamplingError(.etaWithoutUse(sampler: .ddim))) { try sampler(.ddim, 4, eta: 0.5) }
    #expect(throws: SamplingError.self) { try sampler(.euler, 0) }
    #expect(throws: SamplingError.self) { try sampler(.euler, 1001) }
  }

  @Test("a scheduler's file")
  func file() throws {
    let data = try Goldens.data("diffusion/zimage-pipeline/scheduler/scheduler_config.json")
    #expect(try FlowSettings(json: data) == FlowSettings(shift: 3))
    #expect(try FlowSettings(json: Data("{}".utf8)) == FlowSettings())
    for (text, message) in [
      ("[]", "scheduler settings: expected a JSON object"),
      (
        #"{"_class_name": "DDIMScheduler"}"#,
        "scheduler settings: _class_name: expected FlowMatchEulerDiscreteScheduler, found DDIMScheduler"
      ),
      (
        #"{"use_dynamic_shifting": true}"#,
        "scheduler settings: use_dynamic_shifting: expected false, found true"
      ),
      (#"{"shift": 0}"#, "scheduler settings: shift: expected a number above 0, found 0"),
      (#"{"shift": "3"}"#, "scheduler settings: shift: expected a number above 0, found \"3\""),
      (#"{"shift_terminal": 0.02}"#, "scheduler settings: shift_terminal: expected false, found 0.02"),
    ] {
      let error = try #require(throws: SamplingError.self) { try FlowSettings(json: Data(text.utf8)) }
      #expect(error.description == message)
    }
  }
}
