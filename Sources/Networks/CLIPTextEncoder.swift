public import Checkpoints
public import Kernels
public import Models
import Tensors

/// The text half of CLIP (Radford et al. 2021): a transformer whose tokens see only those before them.
public final class CLIPTextEncoder {
  /// The measures that its weights were read by.
  public let configuration: CLIPConfiguration
  private let backend: any Backend
  private let tokens: Tensor
  private let positions: [Float]
  private let layers: [Layer]
  private let norm: Norm
  private let projection: (any Linear)?

  /// - Parameter tap: sees what goes into the layers.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public init(
    _ configuration: CLIPConfiguration, weights: some WeightSource, _ component: Component, backend: any Backend,
    tap: (any LayerTap)? = nil
  ) throws {
    self.configuration = configuration
    self.backend = backend
    let channels = configuration.channels, source = LayerSource(weights, component, backend: backend, tap: tap)
    let model = source["text_model"]
    tokens = try model["embeddings"]["token_embedding"].tensor("weight", configuration.vocabulary, channels)
    positions = try model["embeddings"]["position_embedding"].tensor("weight", configuration.positions, channels)
      .floats()
    layers = try (0..<configuration.layers).map { try Layer(model["encoder"]["layers", $0], configuration) }
    norm = try model.norm("final_layer_norm", channels, epsilon: 1e-5)
    projection = try configuration.projection.map {
      try source.linear("text_projection", channels, $0, bias: false)
    }
  }

  /// The embeddings, then the output of each layer, before the last norm: batch × 1 × tokens × channels each.
  public func hiddenStates(of ids: [[Int32]]) -> [FeatureMap] {
    let count = ids[0].count, channels = configuration.channels
    precondition(ids.allSatisfy { $0.count == count } && count <= configuration.positions, "texts of different lengths")
    var values: [Float] = []
    values.reserveCapacity(ids.count * count * channels)
    for text in ids {
      for (place, id) in text.enumerated() {
        precondition(0..<configuration.vocabulary ~= Int(id), "token \(id) is outside the vocabulary")
        let row = Tensor(
          dtype: tokens.dtype, shape: Shape([channels]), bytes: tokens.bytes(ofRows: Int(id)..<Int(id) + 1))
        values += zip(row.floats(), positions[(place * channels)...]).map { $0 + $1 }
      }
    }
    var x = FeatureMap(values, batch: ids.count, height: 1, width: count, channels: channels, pool: backend.pool)
    var states = [x]
    for layer in layers {
      layer(&x)
      states.append(x)
    }
    return states
  }

  /// A hidden state after the last norm.
  public func normalized(_ state: FeatureMap) -> FeatureMap { backend.layerNorm(state, norm, as: .f32) }

  /// The summary of each text: the last state at the first end token, after the norm, projected where the model does that.
  ///
  /// - Parameter end: the end token's id.
  public func summaries(of last: FeatureMap, ids: [[Int32]], end: Int32) -> [[Float]] {
    let normal = normalized(last)
    let chosen = normal.picked(
      rows: ids.enumerated().map { $0.offset * $0.element.count + ($0.element.firstIndex(of: end) ?? 0) },
      pool: backend.pool)
    let summaries = projection.map { $0(chosen, as: .f32) } ?? chosen
    let values = summaries.values, width = summaries.channels
    return ids.indices.map { Array(values[$0 * width..<($0 + 1) * width]) }
  }

  private struct Layer {
    private let norm1: Norm
    private let queryKeyValue: any Linear
    private let output: any Linear
    private let norm2: Norm
    private let expansion: any Linear
    private let contraction: any Linear
    private let activation: Activation
    private let channels: Int
    private let heads: Int
    private let backend: any Backend

    init(_ layers: LayerSource, _ configuration: CLIPConfiguration) throws {
      backend = layers.backend
      channels = configuration.channels
      heads = configuration.heads
      activation = configuration.isQuick ? .quickGELU : .gelu
      norm1 = try layers.norm("layer_norm1", channels, epsilon: 1e-5)
      queryKeyValue = try layers["self_attn"].linear(
        joining: ["q_proj", "k_proj", "v_proj"], channels, channels, bias: true)
      output = try layers["self_attn"].linear("out_proj", channels, channels)
      norm2 = try layers.norm("layer_norm2", channels, epsilon: 1e-5)
      expansion = try layers["mlp"].linear("fc1", channels, configuration.hiddenChannels)
      contraction = try layers["mlp"].linear("fc2", configuration.hiddenChannels, channels)
    }

    func callAsFunction(_ x: inout FeatureMap) {
      let own = queryKeyValue(backend.layerNorm(x, norm1, as: backend.operand), as: backend.operand)
      output.add(
        backend.attention(
          own[channels: 0..<channels], own[channels: channels..<2 * channels],
          own[channels: 2 * channels..<3 * channels], heads: heads, isCausal: true), to: &x)
      let hidden = expansion(backend.layerNorm(x, norm2, as: backend.operand), as: .f32)
      contraction.add(backend.activated(hidden, activation, as: backend.operand), to: &x)
    }
  }
}
