public import Checkpoints
import JSON
public import Models
import Prompts

/// The measures of a CLIP text encoder, as `text_encoder/config.json` has them.
public struct CLIPConfiguration: Sendable, Equatable {
  /// Width of a token's features (`hidden_size`).
  public var channels: Int
  /// Transformer blocks, of which a prompt may leave out the last ones.
  public var layers: Int
  /// Heads of each attention; they divide `channels`.
  public var heads: Int
  /// Width inside the feed-forward part (`intermediate_size`).
  public var hiddenChannels: Int
  /// How many tokens have an embedding.
  public var vocabulary: Int
  /// The longest text in tokens, with its beginning and end.
  public var positions = 77
  /// The quick GELU of OpenAI's model, or the exact one of OpenCLIP's.
  public var isQuick: Bool
  /// Channels of the text's summary, for encoders that project it.
  public var projection: Int?

  /// The measures of a checkpoint's text encoder: from the configuration of its folder, or from its shapes. Not checked yet.
  ///
  /// - Parameter component: the second one projects its summary.
  /// - Throws: `NetworkError`, `CheckpointError`.
  public init(of checkpoint: Checkpoint, _ component: Component) throws {
    let name = "\(component == .textEncoder1 ? "text_encoder" : "text_encoder_2")/config.json"
    if let fields = try checkpoint.configuration(name) {
      try self.init(fields, file: "\(checkpoint.path)/\(name)", hasProjection: component == .textEncoder2)
    } else {
      try self.init(detecting: checkpoint, component)
    }
  }

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
      throw NetworkError(
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
      throw NetworkError(
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
  /// - Throws: `NetworkError` for numbers that fit no encoder of CLIP, or not each other.
  public func check(tokens: Int, file: String) throws(NetworkError) {
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
