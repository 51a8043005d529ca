import Checkpoints
import Foundation
import Kernels
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Diffusion

/// The same model in one file under its authors' names gives the same bits as the folder.
@Suite struct SingleFileTests {
  private struct Entry: Decodable {
    let name: String
    let from: [[String]]
    let shape: [Int]?
    let transposed: Bool?
  }
  private struct Ignored: Decodable {
    let name: String
    let shape: [Int]
    let dtype: String
  }

  /// Writes the file that `single-file.json` describes, with what such files have besides.
  private func writeSingleFile(of pipeline: String, to path: String) throws {
    func document<Document: Decodable>(_ name: String) throws -> Document {
      try JSONDecoder().decode(Document.self, from: Goldens.data("diffusion/\(pipeline)/\(name)"))
    }
    let entries: [Entry] = try document("single-file.json"),
      ignored: [Ignored] = try document("single-file-ignored.json")
    var files: [String: SafetensorsFile] = [:]
    func stored(_ component: String, _ name: String) throws -> Tensor {
      if files[component] == nil {
        let stem = component.hasPrefix("text") ? "model" : "diffusion_pytorch_model"
        files[component] = try SafetensorsFile(
          path: Goldens.path("diffusion/\(pipeline)/\(component)/\(stem).safetensors"))
      }
      return try #require(files[component]?[name])
    }
    var tensors = try entries.map { entry -> (name: String, tensor: Tensor) in
      let parts = try entry.from.map { try stored($0[0], $0[1]) }
      let rows = parts.reduce(0) { $0 + $1.shape.extents[0] }
      var shape = Shape([rows] + parts[0].shape.extents.dropFirst()), values = parts.flatMap { $0.doubles() }
      if entry.transposed == true {
        let (height, width) = (shape[0], shape[1]), old = values
        values = values.indices.map { old[$0 % height * width + $0 / height] }
        shape = Shape([width, height])
      }
      return (entry.name, Tensor(values, shape: entry.shape.map { Shape($0) } ?? shape, dtype: parts[0].dtype))
    }
    for entry in ignored {
      let shape = Shape(entry.shape), dtype = try #require(DType(rawValue: entry.dtype))
      tensors.append(
        (entry.name, Tensor([Double](repeating: 3, count: shape.elementCount), shape: shape, dtype: dtype)))
    }
    try writeTensors(tensors, to: path)
  }

  private func fields(_ pipeline: String, _ component: String) throws -> [String: JSONValue] {
    try configurationFields(Goldens.path("diffusion/\(pipeline)/\(component)/config.json"))
  }

  @Test("UNet, autoencoder and text encoders", arguments: ["sd1-pipeline", "sdxl-pipeline"])
  func networks(_ pipeline: String) throws {
    let folder = try TemporaryFolder(), path = folder.file("single.safetensors"), isXL = pipeline == "sdxl-pipeline"
    try writeSingleFile(of: pipeline, to: path)
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
