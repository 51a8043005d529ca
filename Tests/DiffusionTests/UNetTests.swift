import Checkpoints
import Kernels
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Diffusion

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
        let limit: Float = name == "unet-faint" ? 2e-6 : 2e-5
        #expect(difference <= limit * kind.leniency, "\(name)/\(test): \(difference)")
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
