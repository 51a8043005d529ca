public import Checkpoints
public import Kernels
public import Models
import Tensors

/// A Qwen3 language model as a text encoder: the features of its tokens before the end of the network.
///
/// Its layers are read one by one for all texts together and given back, so that never more than one is in memory.
public final class QwenTextEncoder {
  /// The measures that its weights are read by.
  public let configuration: QwenConfiguration
  private let backend: any Backend
  private let source: LayerSource
  private let tokens: Tensor

  /// A text to be read.
  public struct Text: Sendable {
    /// At least one token.
    public let ids: [Int32]
    /// How many layers it goes through, from the first one.
    public let layers: Int

    /// `ids` below the vocabulary's size; at most as many layers as the model has.
    public init(ids: [Int32], layers: Int) { (self.ids, self.layers) = (ids, layers) }
  }

  /// - Parameter tap: sees what goes into the layers.
  /// - Throws: `CheckpointError` for embeddings that are missing or have another shape.
  public init(
    _ configuration: QwenConfiguration, weights: some WeightSource, _ component: Component, backend: any Backend,
    tap: (any LayerTap)? = nil
  ) throws {
    (self.configuration, self.backend) = (configuration, backend)
    let all = LayerSource(weights, component, backend: backend, tap: tap)
    source = configuration.root.isEmpty ? all : all[configuration.root]
    tokens = try source["embed_tokens"].tensor("weight", configuration.vocabulary, configuration.channels)
  }

  /// The features of each text after its layers, without the last norm: 1 × 1 × tokens × channels each.
  ///
  /// - Parameter observer: is shown the features of a text after each layer: its place among the texts, and how many layers
  ///   it has been through.
  /// - Throws: `CheckpointError` for weights that are missing or have other shapes.
  public func features(
    of texts: [Text], observer: ((_ text: Int, _ layers: Int, FeatureMap) -> Void)? = nil
  ) throws -> [FeatureMap] {
    var states = texts.map { embedded($0.ids) }
    let positions = texts.map { text in
      RotationTable(
        angles: RotaryPositions.angles(
          tokens: text.ids.count, width: configuration.headSize / 2, theta: configuration.theta),
        tokens: text.ids.count, style: .halves, pool: backend.pool)
    }
    for (text, state) in states.enumerated() { observer?(text, 0, state) }
    for index in 0..<(texts.map(\.layers).max() ?? 0) {
      let layer = try Layer(source["layers", index], configuration)
      for text in texts.indices where index < texts[text].layers {
        layer(&states[text], positions: positions[text])
        observer?(text, index + 1, states[text])
      }
    }
    return states
  }

  private func embedded(_ ids: [Int32]) -> FeatureMap {
    precondition(!ids.isEmpty, "a text without tokens")
    let channels = configuration.channels
    let values = ids.flatMap { id -> [Float] in
      precondition(0..<configuration.vocabulary ~= Int(id), "token \(id) is outside the vocabulary")
      return Tensor(
        dtype: tokens.dtype, shape: Shape([channels]), bytes: tokens.bytes(ofRows: Int(id)..<Int(id) + 1)
      ).floats()
    }
    return FeatureMap(values, batch: 1, height: 1, width: ids.count, channels: channels, pool: backend.pool)
  }

  /// x += attention(norm(x)); x += network(norm(x)); each token sees those up to itself.
  private struct Layer {
    private let norm1: TokenNorm
    private let attention: RotaryAttention
    private let norm2: TokenNorm
    private let feedForward: GatedFeedForward
    private let backend: any Backend

    init(_ layers: LayerSource, _ configuration: QwenConfiguration) throws {
      backend = layers.backend
      let channels = configuration.channels, epsilon = configuration.epsilon
      norm1 = try layers.tokenNorm("input_layernorm", channels, epsilon: epsilon)
      attention = try RotaryAttention(
        layers["self_attn"],
        .init(
          query: "q_proj", key: "k_proj", value: "v_proj", output: "o_proj", queryNorm: "q_norm", keyNorm: "k_norm"),
        channels, heads: configuration.heads, keyHeads: configuration.keyHeads, size: configuration.headSize,
        epsilon: epsilon)
      norm2 = try layers.tokenNorm("post_attention_layernorm", channels, epsilon: epsilon)
      feedForward = try GatedFeedForward(
        layers["mlp"], gate: "gate_proj", up: "up_proj", down: "down_proj", channels,
        hidden: configuration.hiddenChannels)
    }

    func callAsFunction(_ x: inout FeatureMap, positions: RotationTable) {
      attention.add(
        backend.tokenNorm(x, norm1, as: backend.operand), to: &x, positions: positions, isCausal: true)
      feedForward.add(backend.tokenNorm(x, norm2, as: backend.operand), to: &x)
    }
  }
}

extension QwenTextEncoder {
  /// What reading texts takes of memory, in bytes, from measures alone: two layers in f32, of which one is being read, and
  /// the features of a text of the usual length.
  public static func memory(_ configuration: QwenConfiguration) -> Int {
    let channels = configuration.channels, hidden = configuration.hiddenChannels, tokens = 512
    let heads = configuration.headSize * (2 * configuration.heads + 2 * configuration.keyHeads)
    return 4 * 2 * channels * (heads + 3 * hidden) + 4 * tokens * (4 * channels + 3 * hidden + 3 * heads)
  }
}
