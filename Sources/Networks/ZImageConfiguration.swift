public import Checkpoints
import JSON
import Models

/// The measures of Z-Image's transformer, as `transformer/config.json` has them, or its shapes.
public struct ZImageConfiguration: Sendable, Equatable {
  /// Numbers of a latent pixel.
  public var latentChannels: Int
  /// Width of a token.
  public var channels: Int
  /// Heads of each attention; they divide `channels`.
  public var heads: Int
  /// Blocks for text and picture together.
  public var layers: Int
  /// Blocks for the text alone, and as many for the picture alone.
  public var refiners: Int
  /// Width inside the feed-forward part.
  public var hiddenChannels: Int
  /// Width of the text's features.
  public var contextChannels: Int
  /// Width of the time's features inside their own network.
  public var hiddenTimeChannels: Int
  /// Width of the time's features, as blocks read them.
  public var timeChannels: Int
  /// Features of a head for the place in the text, the row and the column.
  public var axes: [Int]
  /// The base of the places' frequencies.
  public var theta: Double

  /// Latent pixels that are one token, along each side.
  public static let patch = 2
  /// Width of the sinusoid that the time becomes first.
  static let sinusoid = 256
  /// Texts and pictures are filled up to multiples of so many tokens.
  static let multiple = 32

  /// The measures of a checkpoint's transformer, checked.
  ///
  /// - Throws: `NetworkError`, `CheckpointError`.
  public init(of checkpoint: Checkpoint) throws {
    let shapes = WeightShapes(checkpoint, .denoiser)
    func extent(_ name: String, _ axis: Int) throws -> Int {
      guard let shape = shapes[name], shape.indices.contains(axis) else {
        throw NetworkError(.missing("the tensor \(name)", hint: nil), file: checkpoint.path)
      }
      return shape[axis]
    }
    channels = try extent("all_x_embedder.2-1.weight", 0)
    latentChannels = try extent("all_x_embedder.2-1.weight", 1) / (Self.patch * Self.patch)
    contextChannels = try extent("cap_embedder.1.weight", 1)
    hiddenChannels = try extent("layers.0.feed_forward.w1.weight", 0)
    hiddenTimeChannels = try extent("t_embedder.mlp.0.weight", 0)
    timeChannels = try extent("t_embedder.mlp.2.weight", 0)
    layers = shapes.count("layers.*.attention_norm1.weight")
    refiners = shapes.count("noise_refiner.*.attention_norm1.weight")
    let size = try extent("layers.0.attention.norm_q.weight", 0)
    heads = size > 0 ? channels / size : 0
    (axes, theta) = ([32, 48, 48], 256)
    var file = checkpoint.path
    for name in ["transformer/config.json", "config.json"] {
      guard let fields = try checkpoint.configuration(name) else { continue }
      file = "\(checkpoint.folder)/\(name)"
      try read(fields, file: file)
      break
    }
    try check(headSize: size, file: file)
  }

  private mutating func read(_ fields: [String: JSONValue], file: String) throws {
    let reader = ConfigurationReader(fields, file: file)
    if fields["_class_name"] != nil { try reader.expect("_class_name", "ZImageTransformer2DModel") }
    // What reads pictures too has this width of their features.
    try reader.expectNothing("siglip_feat_dim")
    try reader.expect("qk_norm", true)
    try reader.expect("norm_eps", 1e-5)
    try reader.expect("t_scale", 1000)
    if let keyHeads = try reader.optionalInteger("n_kv_heads"), keyHeads != heads {
      throw NetworkMeasures.failure("n_kv_heads", "\(heads)", [keyHeads], file)
    }
    for (name, found) in [
      ("in_channels", latentChannels), ("dim", channels), ("n_layers", layers), ("n_refiner_layers", refiners),
      ("n_heads", heads), ("cap_feat_dim", contextChannels),
    ] {
      if let said = try reader.optionalInteger(name), said != found {
        throw NetworkMeasures.failure(name, "\(found) as the weights have", [said], file)
      }
    }
    if fields["axes_dims"] != nil { axes = try reader.integers("axes_dims") }
    theta = try reader.number("rope_theta", default: 256)
  }

  private func check(headSize: Int, file: String) throws(NetworkError) {
    try NetworkMeasures.checkCounts([layers, refiners], "layers", file: file)
    try NetworkMeasures.check([channels], areMultiplesOf: headSize, "n_heads", file: file)
    guard axes.count == 3, axes.allSatisfy({ $0 > 0 && $0 % 2 == 0 }), axes.reduce(0, +) == headSize else {
      throw NetworkMeasures.failure("axes_dims", "three even numbers that sum to \(headSize)", axes, file)
    }
    guard headSize <= 1024, latentChannels > 0, layers > 0, theta > 0 else {
      throw NetworkMeasures.failure("n_heads", "heads of at most 1024 features", [headSize], file)
    }
  }
}
