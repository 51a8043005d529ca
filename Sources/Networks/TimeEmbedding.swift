import Foundation
import Kernels

/// Sines and cosines of a number at many frequencies.
enum Sinusoid {
  /// Cosines, then sines, at the frequencies 10000^(-i / half), as for times and sizes.
  static func cosinesFirst(_ value: Float, channels: Int) -> [Float] {
    let half = channels / 2
    let angles = (0..<half).map { value * Float(exp(-log(10000) * Float($0) / Float(half))) }
    return angles.map { cos($0) } + angles.map { sin($0) }
  }

  /// Sines, then cosines, with the last frequency at 1/10000, as for the guidance of distilled models.
  ///
  /// Angles are thousands, so frequencies are rounded in the same order as in diffusers.
  static func sinesFirst(_ value: Float, channels: Int) -> [Float] {
    let half = channels / 2, step = log(Float(10000)) / Float(half - 1)
    let angles = (0..<half).map { value * exp(Float($0) * -step) }
    return angles.map { sin($0) } + angles.map { cos($0) }
  }
}

/// From a time (and, for some models, sizes, a text's summary or a guidance strength) to the features that every block of
/// a UNet is given.
struct TimeEmbedding {
  private let configuration: UNetConfiguration
  private let backend: any Backend
  private let time: TwoLayers
  private let guidance: (any Linear)?
  private let added: TwoLayers?

  init(_ layers: LayerSource, _ configuration: UNetConfiguration) throws {
    self.configuration = configuration
    backend = layers.backend
    let channels = configuration.channels[0], outputs = configuration.timeChannels
    time = try TwoLayers(layers["time_embedding"], channels, outputs)
    guidance = try configuration.guidanceChannels.map {
      try layers["time_embedding"].linear("cond_proj", $0, channels, bias: false, precision: .f32)
    }
    added = try configuration.addedChannels.map { try TwoLayers(layers["add_embedding"], $0, outputs) }
  }

  /// SiLU of the embedding for each of `times`, with the conditions of the same place: 1 × 1 × times × channels.
  func callAsFunction(_ times: [Float], conditions: [UNet.Condition]) -> FeatureMap {
    let channels = configuration.channels[0]
    var vectors = map(times.map { Sinusoid.cosinesFirst($0, channels: channels) })
    if let guidance, let width = configuration.guidanceChannels {
      let embedded = map(
        conditions.map { Sinusoid.sinesFirst(($0.guidance - 1) * 1000, channels: width) })
      guidance.add(embedded, to: &vectors)
    }
    var embedding = time(vectors)
    if let added, let width = configuration.sizeChannels {
      let vectors = conditions.map { condition in
        condition.pooledText + condition.sizes.flatMap { Sinusoid.cosinesFirst($0, channels: width) }
      }
      backend.add(added(map(vectors)), to: &embedding)
    }
    return backend.activated(embedding, .silu, as: .f32)
  }

  private func map(_ vectors: [[Float]]) -> FeatureMap {
    FeatureMap(
      vectors.flatMap { $0 }, batch: 1, height: 1, width: vectors.count, channels: vectors[0].count,
      pool: backend.pool)
  }

  private struct TwoLayers {
    private let first: any Linear
    private let second: any Linear
    private let backend: any Backend

    init(_ layers: LayerSource, _ inputs: Int, _ outputs: Int) throws {
      backend = layers.backend
      first = try layers.linear("linear_1", inputs, outputs, precision: .f32)
      second = try layers.linear("linear_2", outputs, outputs, precision: .f32)
    }

    func callAsFunction(_ x: FeatureMap) -> FeatureMap {
      second(backend.activated(first(x, as: .f32), .silu, as: .f32), as: .f32)
    }
  }
}
