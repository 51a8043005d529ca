import Checkpoints
import Kernels
import Networks
import Prompts

/// The features of texts, by a model's text encoders.
struct TextConditioner {
  /// A text's features, tokens × width, and its summary.
  struct Features {
    var values: [Float]
    let tokens: Int
    var summary: [Float]

    /// The same extents, all zero.
    var zeroed: Features {
      Features(
        values: Array(repeating: 0, count: values.count), tokens: tokens, summary: summary.map { _ in 0 })
    }
  }

  /// A prompt, what it is guided away from, and how both are read.
  struct Texts: Hashable {
    let prompt: String
    let negative: String?
    let style: PromptStyle
    /// Layers left out at the encoder's end, 0 for none.
    let layersSkipped: Int
    /// Whether the negative is needed at all.
    let isGuided: Bool
  }

  private let model: PictureModel
  private let encoders: [CLIPTextEncoder]

  init(_ model: PictureModel, weights: some WeightSource, backend: any Backend) throws {
    self.model = model
    encoders = try zip(model.textEncoders, PictureModel.encoders).map {
      try CLIPTextEncoder($0, weights: weights, $1, backend: backend)
    }
  }

  /// A prompt and, if it is guided, its negative, with equally many tokens.
  func features(of texts: Texts) throws -> (prompt: Features, negative: Features?) {
    let hasZeroes = texts.negative == nil && model.zeroesMissingNegative
    let read = texts.isGuided && !hasZeroes ? [texts.prompt, texts.negative ?? ""] : [texts.prompt]
    var features = [Features?](repeating: nil, count: read.count)
    for (index, encoder) in encoders.enumerated() {
      let chunks = try read.map {
        try PromptChunks(of: $0, style: texts.style, tokenizer: model.tokenizer, padding: model.paddingToken(index))
      }
      let count = chunks.map(\.chunks.count).max()!
      for (text, chunks) in chunks.enumerated() {
        let own = encode(
          chunks.padded(to: count), with: encoder, style: texts.style, layersSkipped: texts.layersSkipped)
        features[text] = features[text].map { $0.joined(own) } ?? own
      }
    }
    let prompt = features[0]!
    return (prompt, texts.isGuided ? hasZeroes ? prompt.zeroed : features[1]! : nil)
  }

  private func encode(
    _ chunks: PromptChunks, with encoder: CLIPTextEncoder, style: PromptStyle, layersSkipped: Int
  ) -> Features {
    let width = encoder.configuration.channels, ids = chunks.chunks.map(\.ids)
    let states = encoder.hiddenStates(of: ids)
    var values = chosenState(states, encoder, layersSkipped).values
    if chunks.isWeighted {
      let weighting = weighting(style, encoder, chunks.empty, layersSkipped)
      for (index, chunk) in chunks.chunks.enumerated() {
        let range = index * PromptChunk.length * width..<(index + 1) * PromptChunk.length * width
        var part = Array(values[range])
        weighting.apply(chunk.weights, to: &part, width: width)
        values.replaceSubrange(range, with: part)
      }
    }
    let summary = encoder.configuration.projection.map { _ in
      encoder.summaries(of: states.last!, ids: ids, end: model.tokenizer.end)[0]
    }
    return Features(values: values, tokens: chunks.chunks.count * PromptChunk.length, summary: summary ?? [])
  }

  private func chosenState(_ states: [FeatureMap], _ encoder: CLIPTextEncoder, _ layersSkipped: Int) -> FeatureMap {
    switch model.textUse {
    case .one(let skipped): encoder.normalized(states[max(0, states.count - 1 - skipped - layersSkipped)])
    case .two: states[max(0, states.count - 2 - layersSkipped)]
    }
  }

  private func weighting(
    _ style: PromptStyle, _ encoder: CLIPTextEncoder, _ empty: PromptChunk, _ layersSkipped: Int
  ) -> PromptWeighting {
    switch style {
    case .comfy:
      .awayFromEmpty(chosenState(encoder.hiddenStates(of: [empty.ids]), encoder, layersSkipped).values)
    case .a1111, .plain: model.textUse == .two ? .product : .restoringMean
    }
  }
}

extension TextConditioner.Features {
  /// The features of two encoders, side by side for each token.
  fileprivate func joined(_ other: Self) -> Self {
    let width = values.count / tokens, otherWidth = other.values.count / other.tokens
    var rows: [Float] = []
    rows.reserveCapacity(tokens * (width + otherWidth))
    for token in 0..<tokens {
      rows += values[token * width..<(token + 1) * width]
      rows += other.values[token * otherWidth..<(token + 1) * otherWidth]
    }
    return Self(values: rows, tokens: tokens, summary: summary + other.summary)
  }
}
