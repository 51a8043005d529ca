import Checkpoints
import Kernels
import Networks
import Prompts

/// The text encoders of a Stable Diffusion model: one of CLIP's, or two side by side.
struct CLIPTextModel: TextModel {
  private let model: StableDiffusion
  private let encoders: [CLIPTextEncoder]

  init(
    _ model: StableDiffusion, weights: some WeightSource, backend: any Backend, tap: (any LayerTap)?
  ) throws {
    self.model = model
    encoders = try zip(model.textEncoders, StableDiffusion.encoders).map {
      try CLIPTextEncoder($0, weights: weights, $1, backend: backend, tap: tap)
    }
  }

  func features(of texts: TextRequest) throws -> PromptFeatures {
    let hasZeroes = texts.negative == nil && model.zeroesMissingNegative
    let read = texts.isGuided && !hasZeroes ? [texts.prompt, texts.negative ?? ""] : [texts.prompt]
    var features = [TextFeatures?](repeating: nil, count: read.count)
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
    return PromptFeatures(
      prompt: prompt, negative: texts.isGuided ? hasZeroes ? prompt.zeroed : features[1]! : nil)
  }

  private func encode(
    _ chunks: PromptChunks, with encoder: CLIPTextEncoder, style: PromptStyle, layersSkipped: Int
  ) -> TextFeatures {
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
    return TextFeatures(values: values, tokens: chunks.chunks.count * PromptChunk.length, summary: summary ?? [])
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

extension TextFeatures {
  /// The features of two encoders, side by side for each token.
  fileprivate func joined(_ other: Self) -> Self {
    var rows: [Float] = []
    rows.reserveCapacity(tokens * (width + other.width))
    for token in 0..<tokens {
      rows += values[token * width..<(token + 1) * width]
      rows += other.values[token * other.width..<(token + 1) * other.width]
    }
    return Self(values: rows, tokens: tokens, summary: summary + other.summary)
  }
}
