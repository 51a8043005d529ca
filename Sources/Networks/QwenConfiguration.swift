public import Checkpoints
import JSON
import Models

/// The measures of a Qwen3 language model that is used as a text encoder, as `text_encoder/config.json` has them.
public struct QwenConfiguration: Sendable, Equatable {
  /// Width of a token's features (`hidden_size`).
  public var channels: Int
  /// Layers, of which picture models leave out the last ones.
  public var layers: Int
  /// Heads of queries.
  public var heads: Int
  /// Heads of keys and values; they divide `heads`.
  public var keyHeads: Int
  /// Features of a head; `heads` times as many may be more than `channels`.
  public var headSize: Int
  /// Width inside the feed-forward part (`intermediate_size`).
  public var hiddenChannels: Int
  /// How many tokens have an embedding.
  public var vocabulary: Int
  /// Added to mean squares before their root is taken.
  public var epsilon: Float
  /// The base of the places' frequencies.
  public var theta: Double
  /// The level that all names begin with: `model`, or none.
  public var root: String

  /// The measures of a checkpoint's text encoder, checked.
  ///
  /// - Throws: `NetworkError` for a text encoder of another kind, `CheckpointError`.
  public init(of checkpoint: Checkpoint) throws {
    let name = "text_encoder/config.json", file = "\(checkpoint.folder)/\(name)"
    guard let fields = try checkpoint.configuration(name) else {
      throw NetworkError(
        .missing("a Qwen3 text encoder with its config.json in the folder text_encoder", hint: nil),
        file: checkpoint.path)
    }
    let names = checkpoint.names(of: .textEncoder1)
    let roots = ["model", "", "model.language_model"]
    guard let root = roots.first(where: { names.contains(($0.isEmpty ? "" : $0 + ".") + "embed_tokens.weight") })
    else {
      throw NetworkError(.missing("the tensor model.embed_tokens.weight", hint: nil), file: file)
    }
    try self.init(fields, file: file, root: root)
  }

  init(_ fields: [String: JSONValue], file: String, root: String) throws {
    let reader = ConfigurationReader(fields, file: file)
    try reader.expect("model_type", "qwen3")
    try reader.expect("hidden_act", "silu")
    for name in ["attention_bias", "use_sliding_window"] { try reader.expect(name, false) }
    try reader.expectNothing("rope_scaling")
    channels = try reader.integer("hidden_size", default: 4096)
    layers = try reader.integer("num_hidden_layers", default: 32)
    heads = try reader.integer("num_attention_heads", default: 32)
    keyHeads = try reader.integer("num_key_value_heads", default: 32)
    headSize = try reader.integer("head_dim", default: 128)
    hiddenChannels = try reader.integer("intermediate_size", default: 22016)
    vocabulary = try reader.integer("vocab_size", default: 151936)
    epsilon = Float(try reader.number("rms_norm_eps", default: 1e-6))
    // Newer files have all that is said of places in one field.
    let places = fields["rope_parameters"]?.object
    let placeReader = places.map { ConfigurationReader($0, file: file) } ?? reader
    if places != nil { try placeReader.expect("rope_type", "default") }
    theta = try placeReader.number("rope_theta", default: 10000)
    self.root = root
    try NetworkMeasures.checkCounts([layers], "num_hidden_layers", file: file)
    try NetworkMeasures.check([heads], areMultiplesOf: keyHeads, "num_key_value_heads", file: file)
    guard headSize % 2 == 0, headSize <= 1024, layers > 1 else {
      throw NetworkMeasures.failure("head_dim", "an even number up to 1024, and two layers", [headSize], file)
    }
    guard epsilon.isFinite, epsilon >= 0, theta > 0 else {
      throw NetworkError(
        .configuration(field: "rope_theta", expected: "a number above 0", found: "\(theta)"), file: file)
    }
  }

  /// Throws where a tokenizer has tokens without an embedding.
  ///
  /// - Throws: `NetworkError`.
  public func check(tokens: Int, file: String) throws(NetworkError) {
    guard tokens <= vocabulary else {
      throw NetworkMeasures.failure("vocab_size", "at least \(tokens), as the tokenizer has", [vocabulary], file)
    }
  }
}
