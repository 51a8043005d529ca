import Kernels

/// A block, attention of all pixels with one head, and a block.
struct AutoencoderMiddle {
  private let first: ResnetBlock
  private let attention: Attention?
  private let second: ResnetBlock

  init(_ layers: LayerSource, _ channels: Int, _ configuration: AutoencoderConfiguration, size: MapSize) throws {
    func block(_ index: Int) throws -> ResnetBlock {
      try ResnetBlock(
        layers["resnets", index], channels, channels, timeChannels: nil, groups: configuration.groups, epsilon: 1e-6,
        size: size)
    }
    first = try block(0)
    attention =
      configuration.attends
      ? try Attention(layers["attentions", 0], channels, groups: configuration.groups) : nil
    second = try block(1)
  }

  func callAsFunction(_ x: inout FeatureMap) {
    first(&x)
    attention?(&x)
    second(&x)
  }

  struct Attention {
    private let norm: GroupNorm
    private let queryKeyValue: any Linear
    private let output: any Linear
    private let channels: Int
    private let backend: any Backend

    init(_ layers: LayerSource, _ channels: Int, groups: Int) throws {
      self.channels = channels
      backend = layers.backend
      norm = try layers.groupNorm("group_norm", channels, groups: groups, epsilon: 1e-6)
      queryKeyValue = try layers.linear(joining: ["to_q", "to_k", "to_v"], channels, channels, bias: true)
      output = try layers.linear("to_out.0", channels, channels)
    }

    func callAsFunction(_ x: inout FeatureMap) {
      let normal = backend.normalized(x, by: norm.factors(x, then: .identity), as: backend.operand)
      let own = queryKeyValue(normal, as: backend.operand)
      output.add(
        backend.attention(
          own[channels: 0..<channels], own[channels: channels..<2 * channels],
          own[channels: 2 * channels..<3 * channels], heads: 1, isCausal: false), to: &x)
    }
  }
}

extension LayerSource {
  /// Blocks of an autoencoder, without a time, one after the other; only the first may change the number of channels.
  func resnets(
    _ count: Int, _ inputs: Int, _ outputs: Int, groups: Int, size: MapSize
  ) throws -> [ResnetBlock] {
    try (0..<count).map {
      try ResnetBlock(
        self["resnets", $0], $0 == 0 ? inputs : outputs, outputs, timeChannels: nil, groups: groups, epsilon: 1e-6,
        size: size)
    }
  }
}
