public import Checkpoints
import JSON
public import Kernels
public import Models
import Prompts
import Tensors

/// The measures of a CLIP text encoder, as `text_encoder/config.json` has them.
public struct CLIPConfiguration: Sendable, Equatable {
  public var channels: Int
  public var layers: Int
  public var heads: Int
  public var hiddenChannels: Int
  public var vocabulary: Int
  public var positions = 77
  /// The quick GELU of OpenAI's model, or the exact one of OpenCLIP's.
  public var isQuick: Bool
  /// Channels of the text's summary, for encoders that project it.
  public var projection: Int?

  init(_ fields: [String: JSONValue], file: String, hasProjection: Bool) throws {
    let reader = ConfigurationReader(fields, file: file)
    channels = try reader.integer("hidden_size", default: 512)
    layers = try reader.integer("num_hidden_layers", default: 12)
    heads = try reader.integer("num_attention_heads", default: 8)
    hiddenChannels = try reader.integer("intermediate_size", default: 2048)
    vocabulary = try reader.integer("vocab_size", default: 49408)
    positions = try reader.integer("max_position_embeddings", default: 77)
    let activation = fields["hidden_act"]?.string ?? "quick_gelu"
    guard ["quick_gelu", "gelu"].contains(activation) else {
      throw DiffusionError(
        .configuration(field: "hidden_act", expected: "quick_gelu or gelu", found: activation), file: file)
    }
    try reader.expect("layer_norm_eps", 1e-5)
    isQuick = activation == "quick_gelu"
    projection = hasProjection ? try reader.integer("projection_dim", default: 512) : nil
  }

  /// Reads the measures from shapes: a head has 64 channels. OpenAI's model (768 channels), and small ones like it, have
  /// the quick GELU; OpenCLIP's (1024 and 1280) have the exact one.
  init(detecting checkpoint: Checkpoint, _ component: Component) throws {
    let shapes = WeightShapes(checkpoint, component)
    let root = shapes["text_model.embeddings.token_embedding.weight"] == nil ? "" : "text_model."
    guard let tokens = shapes["\(root)embeddings.token_embedding.weight"], tokens.count == 2,
      let positions = shapes["\(root)embeddings.position_embedding.weight"], positions.count == 2
    else {
      throw DiffusionError(
        .missing("a CLIP \(component.title)", hint: "give a full checkpoint, not only its UNet"), file: checkpoint.path)
    }
    vocabulary = tokens[0]
    channels = tokens[1]
    self.positions = positions[0]
    layers = shapes.count("\(root)encoder.layers.*.layer_norm1.weight")
    heads = max(1, channels / 64)
    hiddenChannels = shapes["\(root)encoder.layers.0.mlp.fc1.weight"]?.first ?? 4 * channels
    isQuick = channels <= 768
    projection = shapes["text_projection.weight"]?.first
  }

  /// - Parameter tokens: how many the tokenizer has.
  /// - Throws: `DiffusionError` for numbers that fit no encoder of CLIP, or not each other.
  func check(tokens: Int, file: String) throws(DiffusionError) {
    try NetworkMeasures.checkLevels([channels], "hidden_size", file: file)
    try NetworkMeasures.checkCounts([layers], "num_hidden_layers", file: file)
    try NetworkMeasures.check([channels], areMultiplesOf: heads, "num_attention_heads", file: file)
    guard layers > 0 else { throw NetworkMeasures.failure("num_hidden_layers", "at least 1", [layers], file) }
    guard positions >= PromptChunk.length else {
      throw NetworkMeasures.failure("max_position_embeddings", "at least \(PromptChunk.length)", [positions], file)
    }
    guard vocabulary >= tokens else {
      throw NetworkMeasures.failure("vocab_size", "at least the tokenizer's \(tokens)", [vocabulary], file)
    }
  }
}

/// The text half of CLIP (Radford et al. 2021): a transformer whose tokens see only those before them.
public final class CLIPTextEncoder {
  public let configuration: CLIPConfiguration
  private let backend: any Backend
  private let tokens: Tensor
  private let positions: [Float]
  private let layers: [Layer]
  private let norm: Norm
  private let projection: (any Linear)?

  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public init(
    _ configuration: CLIPConfiguration, weights: some WeightSource, _ component: Component, backend: any Backend
  ) throws {
    self.configuration = configuration
    self.backend = backend
    let channels = configuration.channels, source = LayerSource(weights, component, backend: backend)
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
