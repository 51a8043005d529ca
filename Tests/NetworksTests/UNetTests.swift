import Checkpoints
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Networks

@Suite struct UNetTests {
  static let fixtures = [
    "sd1-tiny", "sd1-tiny-odd", "sd1-four-levels", "sd1-four-levels-odd", "sd2-tiny", "sdxl-tiny", "sdxl-tiny-odd",
    "lcm-tiny", "narrow", "unet-faint",
  ]

  @Test("agrees with diffusers, block by block", arguments: fixtures, TestedBackend.allCases)
  func agrees(_ name: String, _ kind: TestedBackend) throws {
    let golden = try NetworkGolden(name)
    let checkpoint = try Checkpoint(path: golden.model)
    let fields = try configurationFields("\(golden.model)/config.json")
    try KernelThread.run {
      let backend = kind.make()
      let configuration = try UNetConfiguration(fields, file: name)
      for test in golden.cases {
        let sample = FeatureMap(try golden.input("\(test)/sample"), pool: backend.pool)
        let unet = try UNet(configuration, weights: checkpoint, backend: backend, expecting: sample.size)
        let text = unet.prepare(text: FeatureMap(try golden.input("\(test)/context"), pool: backend.pool))
        let times = try golden.input("\(test)/timestep").floats()
        let conditions = try times.indices.map { try condition(golden, test, sample: $0) }
        let time = unet.prepare(times: [times], conditions: conditions)[0]
        var firstWrong: String?
        let output = unet(sample, time: time, text: text) { block, map in
          guard firstWrong == nil, let expected = golden.outputs["\(test)/\(block)"] else { return }
          let difference = largestDifference(map.planarValues, expected.floats())
          let size = expected.floats().reduce(0) { max($0, abs($1)) }
          if !(difference <= 2e-5 * kind.leniency * max(1, size)) { firstWrong = "\(block): \(difference) of \(size)" }
        }
        #expect(firstWrong == nil, "\(name)/\(test): the first block that differs is \(firstWrong ?? "")")
        let difference = largestDifference(output.planarValues, try golden.output("\(test)/output").floats())
        let limit = name == "unet-faint" ? 2e-6 : golden.limits[test]!
        #expect(difference <= limit * kind.leniency, "\(name)/\(test): \(difference)")
      }
    }
  }

  /// A case's output, by another backend.
  private func output(_ golden: NetworkGolden, _ test: String, _ backend: any Backend) throws -> [Float] {
    let configuration = try UNetConfiguration(
      configurationFields("\(golden.model)/config.json"), file: golden.name)
    let sample = FeatureMap(try golden.input("\(test)/sample"), pool: backend.pool)
    let unet = try UNet(
      configuration, weights: Checkpoint(path: golden.model), backend: backend, expecting: sample.size)
    let text = unet.prepare(text: FeatureMap(try golden.input("\(test)/context"), pool: backend.pool))
    let times = try golden.input("\(test)/timestep").floats()
    let conditions = try times.indices.map { try condition(golden, test, sample: $0) }
    return unet(sample, time: unet.prepare(times: [times], conditions: conditions)[0], text: text).planarValues
  }

  @Test(
    "16-bit operands change an output by about a hundredth",
    .enabled(if: NativeBackend.precisions.contains(.bf16)), arguments: fixtures.filter { $0 != "unet-faint" })
  func halfPrecision(_ name: String) throws {
    let golden = try NetworkGolden(name)
    try KernelThread.run {
      let backend = NativeBackend(precision: .bf16, threads: 1)
      for test in golden.cases {
        let found = try output(golden, test, backend), expected = try golden.output("\(test)/output").floats()
        let difference = typicalDifference(found, expected) / rootMeanSquare(expected)
        #expect(difference <= 3e-2, "\(name)/\(test): \(difference)")
        #expect(difference >= 1e-4, "\(name)/\(test): that was no arithmetic of 16 bits")
      }
    }
  }

  @Test("any number of threads gives the same bits", arguments: ["sd1-four-levels", "sdxl-tiny-odd"])
  func threads(_ name: String) throws {
    let golden = try NetworkGolden(name)
    try KernelThread.run {
      for precision in NativeBackend.precisions {
        let results = try (1...4).map { threads in
          try output(golden, golden.cases[0], NativeBackend(precision: precision, threads: threads)).map(\.bitPattern)
        }
        for threads in 2...4 { #expect(results[threads - 1] == results[0], "\(precision), \(threads) threads") }
      }
    }
  }

  @Test("steps prepared together are those prepared one by one")
  func preparedTimes() throws {
    let golden = try NetworkGolden("sdxl-tiny"), test = golden.cases[0]
    try KernelThread.run {
      let backend = TestedBackend.native.make()
      let configuration = try UNetConfiguration(
        configurationFields("\(golden.model)/config.json"), file: golden.name)
      let sample = FeatureMap(try golden.input("\(test)/sample"), pool: backend.pool)
      let unet = try UNet(
        configuration, weights: Checkpoint(path: golden.model), backend: backend, expecting: sample.size)
      let text = unet.prepare(text: FeatureMap(try golden.input("\(test)/context"), pool: backend.pool))
      let conditions = try (0..<sample.batch).map { try condition(golden, test, sample: $0) }
      let steps: [[Float]] = [[981, 981], [500.5, 20], [1, 3.7631]]
      let together = unet.prepare(times: steps, conditions: conditions)
      #expect(together.count == steps.count)
      for (step, time) in zip(steps, together) {
        let alone = unet(sample, time: unet.prepare(times: [step], conditions: conditions)[0], text: text)
        let difference = largestDifference(unet(sample, time: time, text: text).values, alone.values)
        #expect(difference <= 2e-5, "\(step): \(difference)")
      }
    }
  }

  private func condition(_ golden: NetworkGolden, _ test: String, sample: Int) throws -> UNet.Condition {
    var condition = UNet.Condition()
    if let pooled = golden.inputs["\(test)/pooled"] {
      condition.pooledText = Tensor(
        dtype: pooled.dtype, shape: Shape([pooled.shape.extents[1]]), bytes: pooled.bytes(ofRows: sample..<sample + 1)
      ).floats()
      let sizes = try golden.input("\(test)/time_ids")
      condition.sizes = Tensor(dtype: sizes.dtype, shape: Shape([6]), bytes: sizes.bytes(ofRows: sample..<sample + 1))
        .floats()
    }
    if let guidance = golden.inputs["\(test)/guidance_scale"] { condition.guidance = guidance.floats()[sample] }
    return condition
  }
}
