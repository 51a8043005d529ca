import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

@testable import Networks

@Suite struct AutoencoderMemoryTests {
  @Test("an autoencoder takes what was told, and hardly less", .enabled(if: !NativeBackend.precisions.isEmpty))
  func autoencoder() throws {
    var configuration = try AutoencoderConfiguration(
      of: Checkpoint(path: Goldens.path("diffusion/sd1-pipeline")))
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
    let told = (
      decoding: AutoencoderDecoder.memory(written, latent: latent, threads: 2),
      encoding: AutoencoderEncoder.memory(written, picture: picture, threads: 2)
    )
    func bytes(_ work: (NativeBackend) throws -> Void) throws -> Int {
      try KernelThread.run {
        let backend = NativeBackend(precision: .f32, threads: 2)
        try work(backend)
        return backend.pool.peakBytes
      }
    }
    func map(_ size: MapSize, _ channels: Int, _ pool: any MemoryPool) -> FeatureMap {
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
