import Checkpoints
import Kernels
import TestSupport
import Testing

@testable import Rendering

@Suite struct MemoryEstimateTests {
  private let checkpoint: Checkpoint
  private let model: PictureModel

  init() throws {
    checkpoint = try Checkpoint(path: Goldens.path("diffusion/sd1-pipeline"))
    model = try PictureModel(checkpoint)
  }

  private func estimate(
    _ side: Int, isGuided: Bool = true, precision: Precision = .f32, threads: Int = 1, tiny: Bool = false
  ) -> MemoryEstimate {
    MemoryEstimate(
      model, checkpoint, decoder: tiny ? nil : checkpoint, size: MapSize(height: side, width: side), isGuided: isGuided,
      precision: precision, threads: threads)
  }

  @Test("texts are read with all weights of their encoder in f32")
  func texts() {
    let elements = checkpoint.weights(of: .textEncoder1).reduce(0) { $0 + $1.entry.shape.elementCount }
    #expect(elements > 100_000 && estimate(64).texts == 4 * elements)
  }

  @Test("maps grow with the area, weights do not")
  func area() {
    let small = estimate(512), middle = estimate(1024), large = estimate(2048)
    // Twice the side adds three times what four times the area had before, and more weights are transformed at most.
    let first = middle.decoding - small.decoding, second = large.decoding - middle.decoding
    #expect(first > 0 && second == 4 * first)
    #expect(large.steps - middle.steps == 4 * (middle.steps - small.steps))
    #expect(large.peak == max(large.texts, large.steps, large.decoding) + MemoryEstimate.program)
  }

  @Test("guidance, precision and threads")
  func others() {
    #expect(estimate(512).steps > estimate(512, isGuided: false).steps)
    #expect(estimate(512).steps > estimate(512, precision: .bf16).steps)
    #expect(estimate(512).decoding == estimate(512, precision: .bf16).decoding)
    #expect(estimate(512, threads: 4).steps > estimate(512).steps)
  }

  @Test("a transformer's text encoder is there layer by layer, its weights with half of the bits in bf16")
  func transformer() throws {
    let checkpoint = try Checkpoint(path: Goldens.path("diffusion/zimage-pipeline")),
      model = try PictureModel(checkpoint)
    func estimate(_ side: Int, isGuided: Bool = false, precision: Precision = .f32) -> MemoryEstimate {
      MemoryEstimate(
        model, checkpoint, decoder: checkpoint, size: MapSize(height: side, width: side), isGuided: isGuided,
        precision: precision, threads: 1)
    }
    #expect(estimate(512).steps > estimate(512, precision: .bf16).steps)
    #expect(estimate(512, isGuided: true).steps > estimate(512).steps)
    // Four times the picture's tokens; those of the text stay.
    let first = estimate(1024).steps - estimate(512).steps, second = estimate(2048).steps - estimate(1024).steps
    #expect(first > 0 && second == 4 * first)
    #expect(estimate(512).texts == estimate(2048).texts)
  }
}
