import Checkpoints
import Foundation
import Kernels
import Models
import Tensors
import TestSupport
import Testing

@testable import Networks

@Suite struct ZImageTransformerTests {
  private func output(
    _ golden: NetworkGolden, _ test: String, _ checkpoint: Checkpoint, _ backend: any Backend,
    observer: ((String, FeatureMap) -> Void)? = nil
  ) throws -> FeatureMap {
    let network = try ZImageTransformer(
      ZImageConfiguration(of: Checkpoint(path: golden.model)), weights: checkpoint, backend: backend)
    let latent = FeatureMap(try golden.input("\(test)/latent"), pool: backend.pool)
    let text = network.prepare(
      text: FeatureMap(try golden.input("\(test)/text"), pool: backend.pool), observer: observer)
    let time = network.prepare(times: [try golden.input("\(test)/time").floats()])[0]
    return network(latent, time: time, text: text, observer: observer)
  }

  @Test("predicts what diffusers does, block by block", arguments: TestedBackend.allCases)
  func agrees(_ kind: TestedBackend) throws {
    let golden = try NetworkGolden("zimage-tiny"), checkpoint = try Checkpoint(path: golden.model)
    #expect(golden.cases.count == 3)
    try KernelThread.run {
      for test in golden.cases {
        var firstWrong: String?, seen = 0
        let output = try output(golden, test, checkpoint, kind.make()) { block, map in
          guard let tensor = golden.outputs["\(test)/\(block)"] else { return }
          seen += 1
          // diffusers embeds what is filled up, and puts the filling over it.
          let expected = tensor.floats(), found = map.values
          let difference = largestDifference(Array(found.prefix(expected.count)), Array(expected.prefix(found.count)))
          let size = expected.reduce(1) { max($0, abs($1)) }
          if firstWrong == nil, !(difference <= 1e-5 * size) { firstWrong = "\(block): \(difference) of \(size)" }
        }
        #expect(firstWrong == nil, "\(test): the first block that differs is \(firstWrong ?? "")")
        #expect(seen == (test == "wide" ? 6 : 0))
        let difference = largestDifference(output.planarValues, try golden.output("\(test)/output").floats())
        #expect(difference <= 1e-5, "\(test): \(difference)")
      }
    }
  }

  @Test("products of 16 bits change little")
  func halfPrecision() throws {
    guard NativeBackend.precisions.contains(.bf16) else { return }
    let golden = try NetworkGolden("zimage-tiny"), checkpoint = try Checkpoint(path: golden.model)
    try KernelThread.run {
      for test in golden.cases {
        let backend = NativeBackend(precision: .bf16, threads: 2)
        let found = try output(golden, test, checkpoint, backend).planarValues
        let expected = try golden.output("\(test)/output").floats()
        let error = zip(found, expected).map { Double($0 - $1) * Double($0 - $1) }.reduce(0, +)
        let size = expected.map { Double($0) * Double($0) }.reduce(0, +)
        #expect((error / size).squareRoot() <= 0.035, "\(test): \((error / size).squareRoot())")
      }
    }
  }

  @Test("samples together are what each is alone, with any number of threads")
  func samples() throws {
    let golden = try NetworkGolden("zimage-tiny"), checkpoint = try Checkpoint(path: golden.model)
    try KernelThread.run {
      let backend = TestedBackend.native.make(threads: 2)
      let network = try ZImageTransformer(
        ZImageConfiguration(of: checkpoint), weights: checkpoint, backend: backend)
      let one = try golden.input("wide/latent").floats(), text = try golden.input("wide/text").floats()
      let other = one.map { 0.5 - $0 }, otherText = text.map { 1 - $0 }
      func predicted(_ latents: [Float], _ texts: [Float], _ times: [Float]) -> [Float] {
        let count = times.count
        return network(
          FeatureMap(planar: latents, batch: count, channels: 16, height: 10, width: 14, pool: backend.pool),
          time: network.prepare(times: [times])[0],
          text: network.prepare(
            text: FeatureMap(texts, batch: count, height: 1, width: 21, channels: 40, pool: backend.pool))
        ).planarValues
      }
      let together = predicted(one + other, text + otherText, [731.2, 50])
      let alone = predicted(one, text, [731.2]) + predicted(other, otherText, [50])
      #expect(largestDifference(together, alone) <= 2e-5)
      let single = TestedBackend.native.make(threads: 1)
      #expect(
        try output(golden, "tall", checkpoint, single).values == output(golden, "tall", checkpoint, backend).values)
    }
  }

  @Test("the authors' layout gives the same bits")
  func singleFile() throws {
    let folder = try TemporaryFolder(), path = folder.file("single.safetensors")
    let golden = try NetworkGolden("zimage-tiny")
    try SingleFile.write(
      of: Goldens.path("diffusion/zimage-pipeline"), listing: "diffusion/zimage-pipeline/single-file.json", to: path)
    let single = try Checkpoint(path: path), whole = try Checkpoint(path: golden.model)
    #expect(single.family.name == "Z-Image" && single.family == whole.family)
    #expect(single.weights.contains { $0.name.hasSuffix("attention.qkv.weight") })
    try KernelThread.run {
      let backend = TestedBackend.native.make()
      let a = try output(golden, "wide", single, backend), b = try output(golden, "wide", whole, backend)
      #expect(a.values == b.values && a.values.allSatisfy(\.isFinite))
    }
  }

  @Test("configurations that do not go with the weights are refused")
  func refusals() throws {
    let folder = try TemporaryFolder(), model = folder.file("model")
    for (old, new, message) in [
      ("\"n_heads\": 3", "\"n_heads\": 4", "n_heads: expected 3 as the weights have, found 4"),
      ("\"n_layers\": 2", "\"n_layers\": 3", "n_layers: expected 2 as the weights have, found 3"),
      ("\"siglip_feat_dim\": null", "\"siglip_feat_dim\": 8", "siglip_feat_dim: expected nothing, found 8"),
      ("\"t_scale\": 1000.0", "\"t_scale\": 1", "t_scale: expected 1000"),
      ("\"qk_norm\": true", "\"qk_norm\": false", "qk_norm: expected true, found false"),
      ("    4,\n", "    6,\n", "axes_dims: expected three even numbers that sum to 16, found 6, 6, 6"),
    ] {
      try? FileManager.default.removeItem(atPath: model)
      try FileManager.default.copyItem(
        atPath: Goldens.path("diffusion/zimage-pipeline/transformer"), toPath: model)
      let file = "\(model)/config.json", text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(text.contains(old))
      try text.replacingOccurrences(of: old, with: new).write(toFile: file, atomically: true, encoding: .utf8)
      let error = try #require(throws: NetworkError.self) { try ZImageConfiguration(of: Checkpoint(path: model)) }
      #expect(error.description.hasPrefix("\(file): \(message)"))
    }
  }
}
