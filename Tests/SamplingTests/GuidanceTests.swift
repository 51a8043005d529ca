import Sampling
import TestSupport
import Testing

/// Proves guidance against the Stable Diffusion pipeline of diffusers, for two images with different deviations.
@Suite struct GuidanceTests {
  @Test("Scale and rescale", arguments: GuidanceGolden.document.cases)
  func combined(golden: GuidanceGolden) {
    let document = GuidanceGolden.document
    let found = Guidance(scale: golden.scale, rescale: golden.rescale).combined(
      unconditional: document.unconditional.values, conditional: document.conditional.values, images: document.images)
    #expect(largestDifference(found, golden.result.values) <= 1e-6)
  }

  @Test("Full rescale gives the deviation of the output with the prompt")
  func deviation() {
    var noise = TorchNoise(seed: 2)
    let (u, c) = (noise.normals(count: 200), noise.normals(count: 200))
    func deviation(_ values: [Float]) -> Double {
      let mean = values.reduce(0) { $0 + Double($1) } / 200
      return (values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / 199).squareRoot()
    }
    let found = Guidance(scale: 9, rescale: 1).combined(unconditional: u, conditional: c)
    #expect(abs(deviation(found) - deviation(c)) <= 1e-6 * deviation(c))
  }

  @Test("The output without the prompt is needed beyond a scale of 1 only")
  func needs() {
    #expect(!Guidance(scale: 1).needsUnconditional)
    #expect(!Guidance(scale: 0).needsUnconditional)
    #expect(Guidance(scale: 1.5).needsUnconditional)
  }

  @Test("Outputs without deviation stay as they are")
  func flat() {
    let found = Guidance(scale: 3, rescale: 0.5).combined(unconditional: [1, 1, 1], conditional: [2, 2, 2])
    #expect(found == [4, 4, 4])
    #expect(Guidance(scale: 3, rescale: 0.5).combined(unconditional: [], conditional: []) == [])
  }
}
