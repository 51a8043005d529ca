import Foundation
import Kernels

/// A block of a transformer in one stream: attention, then a gated network, each between two norms and added through a gate.
///
/// x += tanh(g₁)·norm₂(attention((1 + k₁)·norm₁(x))), and the same for the network; k and g come from the time, or are left
/// out (Z-Image, 2025; Lumina 2 has the same block).
struct SingleStreamBlock {
  /// What stands before the branches and behind them, by their gains.
  private struct Gains {
    let attentionIn: [Float], attentionOut: [Float], feedForwardIn: [Float], feedForwardOut: [Float]
  }

  static let epsilon: Float = 1e-5

  private let gains: Gains
  private let attention: RotaryAttention
  private let feedForward: GatedFeedForward
  private let modulation: (any Linear)?
  private let channels: Int
  private let backend: any Backend

  /// - Parameter timeChannels: of what the modulation is made from; `nil` for a block without one.
  init(
    _ layers: LayerSource, _ channels: Int, heads: Int, hidden: Int, timeChannels: Int?
  ) throws {
    (self.channels, backend) = (channels, layers.backend)
    func gain(_ name: String) throws -> [Float] { try layers[name].tensor("weight", channels).floats() }
    gains = Gains(
      attentionIn: try gain("attention_norm1"), attentionOut: try gain("attention_norm2"),
      feedForwardIn: try gain("ffn_norm1"), feedForwardOut: try gain("ffn_norm2"))
    attention = try RotaryAttention(
      layers["attention"],
      .init(query: "to_q", key: "to_k", value: "to_v", output: "to_out.0", queryNorm: "norm_q", keyNorm: "norm_k"),
      channels, heads: heads, keyHeads: heads, size: channels / heads, epsilon: Self.epsilon)
    feedForward = try GatedFeedForward(
      layers["feed_forward"], gate: "w1", up: "w3", down: "w2", channels, hidden: hidden)
    modulation = try timeChannels.map {
      try layers.linear("adaLN_modulation.0", $0, 4 * channels, precision: .f32)
    }
  }

  /// - Parameters:
  ///   - x: samples × 1 × tokens × channels, f32.
  ///   - time: 1 × 1 × samples × its channels.
  func callAsFunction(_ x: inout FeatureMap, time: FeatureMap?, positions: RotationTable) {
    let norms = norms(time)
    let attended = attention(backend.tokenNorm(x, norms[0], as: backend.operand), positions: positions)
    backend.addTokenNorm(of: attended, norms[1], to: &x)
    let result = feedForward(backend.tokenNorm(x, norms[2], as: backend.operand))
    backend.addTokenNorm(of: result, norms[3], to: &x)
  }

  /// The four norms with the factors of the time in their gains.
  private func norms(_ time: FeatureMap?) -> [TokenNorm] {
    let own = [gains.attentionIn, gains.attentionOut, gains.feedForwardIn, gains.feedForwardOut]
    guard let modulation, let time else {
      return own.map { TokenNorm(gains: $0, samples: 1, epsilon: Self.epsilon, pool: backend.pool) }
    }
    let values = modulation(time, as: .f32).values, samples = values.count / (4 * channels)
    return own.enumerated().map { part, gain in
      let factors = (0..<samples).flatMap { sample in
        (0..<channels).map { channel -> Float in
          let value = values[(4 * sample + part) * channels + channel]
          return gain[channel] * (part % 2 == 0 ? 1 + value : tanh(value))
        }
      }
      return TokenNorm(gains: factors, samples: samples, epsilon: Self.epsilon, pool: backend.pool)
    }
  }
}
