import Kernels

/// SwiGLU (Shazeer 2020, arXiv:2002.05202): down(silu(gate x) · up x), without biases.
struct GatedFeedForward {
  private let gateUp: any Linear
  private let down: any Linear
  private let backend: any Backend

  init(
    _ layers: LayerSource, gate: String, up: String, down: String, _ channels: Int, hidden: Int
  ) throws {
    backend = layers.backend
    gateUp = try layers.linear(joining: [gate, up], channels, hidden, bias: false)
    self.down = try layers.linear(down, hidden, channels, bias: false)
  }

  func callAsFunction(_ x: FeatureMap) -> FeatureMap { down(hidden(x), as: .f32) }

  func add(_ x: FeatureMap, to sum: inout FeatureMap) { down.add(hidden(x), to: &sum) }

  private func hidden(_ x: FeatureMap) -> FeatureMap { backend.gatedSiLU(gateUp(x, as: backend.operand)) }
}
