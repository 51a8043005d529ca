import Kernels

/// Attention between the pixels of a map, and from them to the text.
struct SpatialTransformer {
  private let norm: GroupNorm
  private let input: any Linear
  let blocks: [TransformerBlock]
  private let output: any Linear
  private let backend: any Backend

  init(_ layers: LayerSource, _ channels: Int, heads: Int, depth: Int, contextChannels: Int, groups: Int) throws {
    backend = layers.backend
    norm = try layers.groupNorm("norm", channels, groups: groups, epsilon: 1e-6)
    input = try layers.linear("proj_in", channels, channels)
    blocks = try (0..<depth).map {
      try TransformerBlock(layers["transformer_blocks", $0], channels, heads: heads, contextChannels: contextChannels)
    }
    output = try layers.linear("proj_out", channels, channels)
  }

  /// - Parameter texts: keys and values of the text for each block.
  func callAsFunction(_ x: FeatureMap, texts: ArraySlice<FeatureMap>) -> FeatureMap {
    let normal = backend.normalized(x, by: norm.factors(x, then: .identity), as: backend.operand)
    var hidden = input(normal, as: .f32)
    for (block, text) in zip(blocks, texts) { block(&hidden, text: text) }
    var result = x
    output.add(hidden, to: &result)
    return result
  }
}

/// Self-attention, attention to the text, and a gated network for each token; each after a layer norm, each added.
struct TransformerBlock {
  private let norm1: Norm
  private let queryKeyValue: any Linear
  private let output1: any Linear
  private let norm2: Norm
  private let query: any Linear
  private let textKeyValue: any Linear
  private let output2: any Linear
  private let norm3: Norm
  private let gate: any Linear
  private let output3: any Linear
  private let channels: Int
  private let heads: Int
  private let backend: any Backend

  init(_ layers: LayerSource, _ channels: Int, heads: Int, contextChannels: Int) throws {
    self.channels = channels
    self.heads = heads
    backend = layers.backend
    norm1 = try layers.norm("norm1", channels, epsilon: 1e-5)
    queryKeyValue = try layers["attn1"].linear(joining: ["to_q", "to_k", "to_v"], channels, channels, bias: false)
    output1 = try layers["attn1"].linear("to_out.0", channels, channels)
    norm2 = try layers.norm("norm2", channels, epsilon: 1e-5)
    query = try layers["attn2"].linear("to_q", channels, channels, bias: false)
    textKeyValue = try layers["attn2"].linear(joining: ["to_k", "to_v"], contextChannels, channels, bias: false)
    output2 = try layers["attn2"].linear("to_out.0", channels, channels)
    norm3 = try layers.norm("norm3", channels, epsilon: 1e-5)
    gate = try layers["ff"].linear("net.0.proj", channels, 8 * channels)
    output3 = try layers["ff"].linear("net.2", 4 * channels, channels)
  }

  /// The keys and values of a text, which stay the same for all steps: batch × 1 × tokens × 2·channels.
  func keyValue(of text: FeatureMap) -> FeatureMap { textKeyValue(text, as: backend.operand) }

  func callAsFunction(_ x: inout FeatureMap, text: FeatureMap) {
    let own = queryKeyValue(backend.layerNorm(x, norm1, as: backend.operand), as: backend.operand)
    output1.add(
      backend.attention(
        own[channels: 0..<channels], own[channels: channels..<2 * channels], own[channels: 2 * channels..<3 * channels],
        heads: heads, isCausal: false), to: &x)
    let queries = query(backend.layerNorm(x, norm2, as: backend.operand), as: backend.operand)
    output2.add(
      backend.attention(
        queries, text[channels: 0..<channels], text[channels: channels..<2 * channels], heads: heads, isCausal: false),
      to: &x)
    let gated = backend.gatedGELU(gate(backend.layerNorm(x, norm3, as: backend.operand), as: backend.operand))
    output3.add(gated, to: &x)
  }
}
