import Checkpoints
import Foundation
import JSON
import Kernels
import Models
import TestSupport
import Testing

@testable import Networks

/// The same model in one file under its authors' names gives the same bits as the folder.
@Suite struct SingleFileTests {
  private func fields(_ pipeline: String, _ component: String) throws -> [String: JSONValue] {
    try configurationFields(Goldens.path("diffusion/\(pipeline)/\(component)/config.json"))
  }

  @Test("UNet, autoencoder and text encoders", arguments: ["sd1-pipeline", "sdxl-pipeline"])
  func networks(_ pipeline: String) throws {
    let folder = try TemporaryFolder(), path = folder.file("single.safetensors"), isXL = pipeline == "sdxl-pipeline"
    try SingleFile.write(
      of: Goldens.path("diffusion/\(pipeline)"), listing: "diffusion/\(pipeline)/single-file.json",
      ignored: "diffusion/\(pipeline)/single-file-ignored.json", to: path)
    let whole = try Checkpoint(path: Goldens.path("diffusion/\(pipeline)")), single = try Checkpoint(path: path)
    #expect(single.family == whole.family && single.family == (isXL ? .sdxl : .sd1))
    try KernelThread.run {
      // Tiny models' heads and groups cannot be seen in their shapes, so the folder's measures are those of both.
      let backend = TestedBackend.native.make(), pool = backend.pool
      func expectSame(_ what: String, _ output: (Checkpoint) throws -> [Float]) throws {
        let (a, b) = (try output(whole), try output(single))
        #expect(!a.isEmpty && a.allSatisfy(\.isFinite))
        #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "\(pipeline): \(what)")
      }
      var generator = SplitMix64(seed: 31)
      func random(_ batch: Int, _ height: Int, _ width: Int, _ channels: Int) -> FeatureMap {
        FeatureMap(
          generator.gaussians(batch * height * width * channels).map { Float($0) }, batch: batch, height: height,
          width: width, channels: channels, pool: pool)
      }
      let unet = try UNetConfiguration(fields(pipeline, "unet"), file: pipeline)
      let latent = random(2, 8, 6, 4), text = random(2, 1, 7, unet.contextChannels)
      var condition = UNet.Condition()
      if isXL {
        condition.sizes = [64, 48, 0, 8, 64, 48]
        condition.pooledText = random(1, 1, 1, try #require(unet.addedChannels) - 6 * (unet.sizeChannels ?? 0)).values
      }
      try expectSame("UNet") { checkpoint in
        let network = try UNet(unet, weights: checkpoint, backend: backend, expecting: latent.size)
        let time = network.prepare(times: [[401, 401]], conditions: [condition, condition])[0]
        return network(latent, time: time, text: network.prepare(text: text)).values
      }
      let vae = try AutoencoderConfiguration(fields(pipeline, "vae"), file: pipeline)
      try expectSame("decoder") {
        try AutoencoderDecoder(vae, weights: $0, backend: backend, expecting: latent.size)(latent).values
      }
      let picture = random(1, 16, 24, 3)
      try expectSame("encoder") {
        try AutoencoderEncoder(vae, weights: $0, backend: backend, expecting: picture.size).moments(of: picture).values
      }
      let ids: [[Int32]] = [[49406, 320, 1125, 539, 49407, 0, 5], [49406, 1, 2, 3, 4, 49407, 49407]]
      for (name, component) in [("text_encoder", Component.textEncoder1), ("text_encoder_2", .textEncoder2)] {
        guard isXL || component == .textEncoder1 else { continue }
        let configuration = try CLIPConfiguration(
          fields(pipeline, name), file: pipeline, hasProjection: component == .textEncoder2)
        try expectSame(name) {
          let encoder = try CLIPTextEncoder(configuration, weights: $0, component, backend: backend)
          let states = encoder.hiddenStates(of: ids), last = try #require(states.last)
          return states.flatMap(\.values) + encoder.summaries(of: last, ids: ids, end: 49407).flatMap { $0 }
        }
      }
    }
  }
}
