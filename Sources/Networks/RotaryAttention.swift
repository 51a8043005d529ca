import Kernels

/// Attention of tokens to each other, whose queries and keys are normed head by head and turned by their places; without
/// biases. Keys and values may have fewer heads than queries.
struct RotaryAttention {
  /// What the layers are called.
  struct Names {
    let query: String, key: String, value: String, output: String, queryNorm: String, keyNorm: String
  }

  private let queryKeyValue: any Linear
  private let output: any Linear
  private let queryNorm: TokenNorm
  private let keyNorm: TokenNorm
  private let heads: (queries: Int, keys: Int)
  private let size: Int
  private let backend: any Backend

  /// - Parameter size: features of a head.
  init(
    _ layers: LayerSource, _ names: Names, _ channels: Int, heads: Int, keyHeads: Int, size: Int, epsilon: Float
  ) throws {
    backend = layers.backend
    (self.heads, self.size) = ((heads, keyHeads), size)
    queryKeyValue = try layers.linear(
      joining: [(names.query, heads * size), (names.key, keyHeads * size), (names.value, keyHeads * size)], channels,
      bias: false)
    output = try layers.linear(names.output, heads * size, channels, bias: false)
    queryNorm = try layers.tokenNorm(names.queryNorm, size, epsilon: epsilon)
    keyNorm = try layers.tokenNorm(names.keyNorm, size, epsilon: epsilon)
  }

  func callAsFunction(_ x: FeatureMap, positions: RotationTable, isCausal: Bool = false) -> FeatureMap {
    output(attended(x, positions, isCausal), as: .f32)
  }

  func add(_ x: FeatureMap, to sum: inout FeatureMap, positions: RotationTable, isCausal: Bool) {
    output.add(attended(x, positions, isCausal), to: &sum)
  }

  private func attended(_ x: FeatureMap, _ positions: RotationTable, _ isCausal: Bool) -> FeatureMap {
    let own = queryKeyValue(x, as: backend.operand), keys = heads.queries * size, values = keys + heads.keys * size
    return backend.attention(
      backend.rotated(own[channels: 0..<keys], heads: heads.queries, norm: queryNorm, by: positions),
      backend.rotated(own[channels: keys..<values], heads: heads.keys, norm: keyNorm, by: positions),
      own[channels: values..<values + heads.keys * size], heads: heads.queries, isCausal: isCausal)
  }
}
