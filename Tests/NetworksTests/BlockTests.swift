import Checkpoints
import Foundation
import Kernels
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Networks

/// Blocks of the real networks' widths, with weights too large to store, against double precision.
@Suite struct BlockTests {
  struct Case: Decodable, Sendable, CustomStringConvertible {
    struct Settings: Decodable, Sendable {
      let inputs: Int?
      let outputs: Int?
      let time: Int?
      let groups: Int?
      let eps: Float?
      let heads: Int?
      let layers: Int?
      let context: Int?
    }
    let name: String
    let kind: String
    let settings: Settings
    let shape: [Int]
    let stride: Int
    let rms: Float
    var description: String { name }
  }

  /// One block's weights, whatever the component.
  private struct BlockWeights: WeightSource {
    let block: String
    let seeded: SeededTensors

    func weight(named name: WeightName, shape: Shape) throws -> Tensor {
      let tensor = try seeded.tensor("\(block)/\(name.path)")
      #expect(tensor.elementCount == shape.elementCount)
      return Tensor(dtype: tensor.dtype, shape: shape, bytes: tensor.bytes)
    }
  }

  enum Kind: String, CaseIterable { case direct, winograd, bf16 }

  static let cases: [Case] = {
    do { return try JSONDecoder().decode([Case].self, from: Goldens.data("diffusion/blocks/cases.json")) } catch {
      fatalError("blocks/cases.json: \(error)")
    }
  }()

  @Test("agrees with double precision", arguments: cases)
  func agrees(_ test: Case) throws {
    let seeded = try SeededTensors(folder: "diffusion/blocks")
    let outputs = try SafetensorsFile(path: Goldens.path("diffusion/blocks/outputs.safetensors"))
    let expected = try #require(outputs[test.name]).floats()
    try KernelThread.run {
      for kind in Kind.allCases where kind != .bf16 || NativeBackend.precisions.contains(.bf16) {
        let backend = NativeBackend(
          precision: kind == .bf16 ? .bf16 : .f32, threads: 2, usesWinograd: kind != .direct)
        let result = try result(
          of: test, LayerSource(BlockWeights(block: test.name, seeded: seeded), .denoiser, backend: backend), seeded)
        #expect([result.batch, result.channels, result.height, result.width] == test.shape)
        let values = result.planarValues
        let found = stride(from: 0, to: values.count, by: test.stride).map { values[$0] }
        switch kind {
        case .bf16:
          let difference = typicalDifference(found, expected)
          #expect(difference <= 1e-2 * test.rms, "bf16: \(difference) of \(test.rms)")
        case .direct, .winograd:
          let difference = largestDifference(found, expected)
          #expect(difference <= 2e-5 * (kind == .direct ? 1 : 10) * test.rms, "\(kind): \(difference) of \(test.rms)")
        }
      }
    }
  }

  private func result(of test: Case, _ layers: LayerSource, _ seeded: SeededTensors) throws -> FeatureMap {
    let pool = layers.backend.pool, settings = test.settings
    let x = FeatureMap(try seeded.tensor("\(test.name)/x"), pool: pool)
    // For the choice of the way of computing: as the real networks have it, though the map here is smaller.
    let size = MapSize(height: 64, width: 64)
    func required(_ number: Int?) throws -> Int { try #require(number) }
    switch test.kind {
    case "resnet":
      let block = try ResnetBlock(
        layers, required(settings.inputs), required(settings.outputs), timeChannels: settings.time,
        groups: required(settings.groups), epsilon: #require(settings.eps), size: size)
      var result = x
      guard let projection = block.timeProjection else {
        block(&result)
        return result
      }
      let time = try seeded.tensor("\(test.name)/time")
      let embedding = FeatureMap(
        time.floats(), batch: x.batch, height: 1, width: 1, channels: time.elementCount / x.batch, pool: pool)
      block(&result, offset: projection(layers.backend.activated(embedding, .silu, as: .f32), as: .f32))
      return result
    case "transformer":
      let block = try SpatialTransformer(
        layers, x.channels, heads: required(settings.heads), depth: required(settings.layers),
        contextChannels: required(settings.context), groups: required(settings.groups))
      let context = FeatureMap(try seeded.tensor("\(test.name)/context"), pool: pool)
      return block(x, texts: block.blocks.map { $0.keyValue(of: context) }[...])
    case "vae-attention":
      let block = try AutoencoderMiddle.Attention(layers, x.channels, groups: required(settings.groups))
      var sum = x
      block(&sum)
      return sum
    default:
      return try Upsampler(layers, x.channels, size: size)(x, to: x.size.doubled)
    }
  }
}
