import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

@testable import Diffusion

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

  @Test("an autoencoder takes what was told, and hardly less", .enabled(if: !NativeBackend.precisions.isEmpty))
  func autoencoder() throws {
    var configuration = try #require(model.autoencoder)
    configuration.channels = [32, 64, 64, 96]
    configuration.groups = 32
    let folder = try TemporaryFolder(), picture = MapSize(height: 640, width: 768)
    let latent = MapSize(height: 80, width: 96), weights = RecordedWeights()
    let nothing = WeightlessBackend()
    _ = try AutoencoderDecoder(configuration, weights: weights, backend: nothing, expecting: latent)
    _ = try AutoencoderEncoder(configuration, weights: weights, backend: nothing, expecting: picture)
    try writeHoles(
      weights.names(of: .vae).map { ($0.name, $0.shape) }, to: folder.file("diffusion_pytorch_model.safetensors"))
    let fields: [String: Any] = [
      "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": configuration.channels,
      "layers_per_block": configuration.resnetsPerLevel, "norm_num_groups": configuration.groups,
    ]
    try JSONSerialization.data(withJSONObject: fields).write(to: URL(filePath: folder.file("config.json")))
    let written = try Checkpoint(path: folder.path)
    let told = MemoryEstimate(
      model, checkpoint, encoder: written, decoder: written, size: picture, isGuided: false, precision: .f32, threads: 2
    )
    func bytes(_ work: (NativeBackend) throws -> Void) throws -> Int {
      try KernelThread.run {
        let backend = NativeBackend(precision: .f32, threads: 2)
        try work(backend)
        return backend.pool.peakBytes
      }
    }
    func map(_ size: MapSize, _ channels: Int, _ pool: MemoryPool) -> FeatureMap {
      FeatureMap(
        [Float](repeating: 1, count: size.area * channels), batch: 1, height: size.height, width: size.width,
        channels: channels, pool: pool)
    }
    let decoding = try bytes { backend in
      let decoder = try AutoencoderDecoder(configuration, weights: written, backend: backend, expecting: latent)
      #expect(decoder(map(latent, 4, backend.pool)).size == picture)
    }
    #expect(decoding <= told.decoding && told.decoding * 85 <= decoding * 100, "\(decoding), told \(told.decoding)")
    let encoding = try bytes { backend in
      let encoder = try AutoencoderEncoder(configuration, weights: written, backend: backend, expecting: picture)
      #expect(encoder.moments(of: map(picture, 3, backend.pool)).size == latent)
    }
    #expect(encoding <= told.encoding && told.encoding * 85 <= encoding * 100, "\(encoding), told \(told.encoding)")
    // Two maps of the finest level and one of the level before it, where copies of their own would make four.
    #expect(decoding < 4 * picture.area * (2 * 64 + 32) && told.encoding < told.decoding)
  }
}
