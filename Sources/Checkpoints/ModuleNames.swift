/// The names of a network's modules in both dialects, for adapters, which have no checkpoint at hand to look them up in.
///
/// Names are of modules: a weight's less `.weight`.
public struct ModuleNames: Sendable {
  public enum Dialect: Sendable { case original, diffusers }

  /// What a module is in the other dialect.
  public struct Counterpart: Sendable {
    public enum Share: Sendable { case inputs, rest }

    /// The dialect of the name that was asked for; `nil` where both say the same.
    public let dialect: Dialect?
    /// The original authors' name.
    public let original: String
    /// Diffusers' names; several where they share the rows of the original, in order.
    public let diffusers: [String]
    /// Which of `diffusers` the module is, where its name is diffusers'.
    public let part: Int
    /// How many rows each of `diffusers` has: as many as there are input columns, or an equal share of what is left.
    public let shares: [Share]
    /// Whether the two halves of the rows stand in opposite order.
    public let swapsHalves: Bool
  }

  private let maps: [NameMap]
  private let words: Set<String>

  /// - Parameter family: for an unknown one, names of Stable Diffusion's UNets are taken for what they look like.
  public init(family: Family, component: Component) {
    if component.isTextEncoder {
      // Text encoders have Hugging Face's names in every dialect of adapters.
      maps = []
      words = Self.textEncoderWords
    } else {
      maps = family == .unknown ? [.stableDiffusionUNet] : family.denoiserMaps
      words = maps.reduce(into: Self.denoiserWords) { words, map in
        for pattern in map.rules.flatMap({ [$0.left] + $0.rights }) { words.formUnion(pattern.words) }
      }
    }
  }

  /// The name with its dots, from one in which underscores stand for them.
  ///
  /// Words of names have underscores of their own, so the name is divided into words that are known; of several
  /// divisions the one with the fewest words counts, as `to_out` is never `to.out`.
  ///
  /// - Returns: `nil` for a name with unknown words, or with two divisions that are equally short.
  public func dotted(_ flat: String) -> String? {
    let pieces = flat.split(separator: "_", omittingEmptySubsequences: false)
    // From each place on: the fewest words to the end, in how many ways, and the end of the first of them.
    var best: [(count: Int, ways: Int, end: Int)?] = Array(repeating: nil, count: pieces.count) + [(0, 1, 0)]
    for start in pieces.indices.reversed() {
      for end in start + 1...min(start + Self.longestWord, pieces.count) {
        guard let rest = best[end] else { continue }
        let isNumber = end == start + 1 && pieces[start].utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
        guard isNumber || words.contains(pieces[start..<end].joined(separator: "_")) else { continue }
        let count = rest.count + 1
        if let known = best[start], known.count <= count {
          if known.count == count { best[start]!.ways += rest.ways }
        } else {
          best[start] = (count, rest.ways, end)
        }
      }
    }
    guard !flat.isEmpty, best[0]?.ways == 1 else { return nil }
    var names: [String] = [], place = 0
    while place < pieces.count {
      let end = best[place]!.end
      names.append(pieces[place..<end].joined(separator: "_"))
      place = end
    }
    return names.joined(separator: ".")
  }

  /// The module in both dialects.
  ///
  /// - Parameters:
  ///   - module: its name with dots, in either dialect.
  ///   - isLast: whether it is in the last block, where maps tell that block from others.
  public func counterpart(of module: String, isLast: Bool) -> Counterpart {
    let tensor = module + ".weight"
    for map in maps {
      let names = isLast ? [tensor] : []
      let left = NameTranslator(map, from: .left, names: names).matches(tensor).first
      // A rule that names both sides alike says nothing about the dialect, but there may be a better one.
      if let left, left.rightNames != [tensor] { return Counterpart(left, .original) }
      if let right = NameTranslator(map, from: .right, names: names).matches(tensor).first, right.leftName != tensor {
        return Counterpart(right, .diffusers)
      }
    }
    return Counterpart(module)
  }

  // MARK: Words

  private static let longestWord = 12

  /// Words that maps do not spell out: below their `**`, and in networks that both dialects name alike.
  private static let denoiserWords: Set<String> = [
    "transformer_blocks", "attn", "attn1", "attn2", "to_q", "to_k", "to_v", "to_out", "add_q_proj", "add_k_proj",
    "add_v_proj", "to_add_out", "ff", "ff_context", "net", "proj", "proj_in", "proj_out", "norm", "norm1", "norm2",
    "norm3", "norm_out", "linear", "linear_1", "linear_2", "img_mlp", "txt_mlp", "img_mod", "txt_mod", "img_in",
    "txt_in", "txt_norm", "time_text_embed", "timestep_embedder", "text_embedder", "emb", "layers", "noise_refiner",
    "context_refiner", "attention", "feed_forward", "w1", "w2", "w3", "adaLN_modulation", "t_embedder", "mlp",
    "cap_embedder", "caption_projection", "audio_caption_projection", "linear1", "linear2", "audio_attn1",
    "audio_attn2", "audio_ff",
    "audio_to_video_attn", "video_to_audio_attn", "audio_proj_out", "conv1", "conv2", "norm_q", "norm_k", "diff_ff",
    "scale_shift_table",
  ]

  private static let textEncoderWords: Set<String> = [
    "text_model", "encoder", "layers", "self_attn", "q_proj", "k_proj", "v_proj", "out_proj", "o_proj", "mlp", "fc1",
    "fc2", "embeddings", "token_embedding", "position_embedding", "final_layer_norm", "layer_norm1", "layer_norm2",
    "text_projection", "gate_proj", "up_proj", "down_proj", "model", "embed_tokens", "shared",
    "block", "layer", "SelfAttention", "DenseReluDense", "q", "k", "v", "o", "wi_0", "wi_1", "wi", "wo",
    "relative_attention_bias", "layer_norm",
  ]
}

extension ModuleNames.Counterpart {
  fileprivate init(_ match: NameTranslator.Match, _ dialect: ModuleNames.Dialect) {
    func module(_ tensor: String) -> String {
      tensor.hasSuffix(".weight") ? tensor.dropping(suffix: ".weight") : tensor
    }
    self.init(
      dialect: dialect, original: module(match.leftName), diffusers: match.rightNames.map(module), part: match.part,
      shares: match.rule.shares.map { $0 == .inputs ? .inputs : .rest }, swapsHalves: match.rule.swapsHalves)
  }

  /// A module that both dialects call the same.
  fileprivate init(_ module: String) {
    self.init(
      dialect: nil, original: module, diffusers: [module], part: 0, shares: [.rest], swapsHalves: false)
  }
}

extension NamePattern {
  /// The words between dots in the pattern's literal text.
  fileprivate var words: [String] {
    parts.flatMap { part -> [String] in
      guard case .text(let text) = part else { return [] }
      return String(decoding: text, as: UTF8.self).split(separator: ".").map(String.init)
    }
  }
}
