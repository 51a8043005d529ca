/// A prompt as a text encoder takes it: one or more chunks, encoded each for itself and joined along the tokens.
public struct PromptChunks: Equatable, Sendable {
  /// At least one.
  public let chunks: [PromptChunk]
  /// How many tokens did not fit and were cut off; more than 0 only in plain style.
  public let truncatedTokens: Int
  /// The chunk of an empty prompt.
  public let empty: PromptChunk

  /// Whether any weight is other than 1.
  public var isWeighted: Bool { chunks.contains { $0.isWeighted } }

  /// The chunks of a prompt without tags. `padding` follows the end of each text: `tokenizer.end` for CLIP ViT-L, 0 for the
  /// OpenCLIP encoders of SD2 and SDXL.
  ///
  /// Throws where `PromptStyle.parts(of:)` does.
  public init(
    of prompt: String, style: PromptStyle, tokenizer: CLIPTokenizer, padding: Int32
  ) throws(PromptError) {
    let parts = try style.parts(of: prompt)
    var truncatedTokens = 0
    let contents: [[WeightedToken]]
    switch style {
    case .a1111:
      var builder = CommaChunks(comma: tokenizer.comma)
      for part in parts {
        switch part {
        case .text: for token in tokenizer.tokens(of: part) { builder.append(token) }
        case .chunkBreak: builder.endChunk()
        }
      }
      contents = builder.finished()
    case .comfy: contents = Self.wholeTexts(parts.map { tokenizer.tokens(of: $0) })
    case .plain:
      let tokens = parts.flatMap { tokenizer.tokens(of: $0) }
      contents = [Array(tokens.prefix(PromptChunk.capacity))]
      truncatedTokens = tokens.count - contents[0].count
    }
    func chunk(_ tokens: [WeightedToken]) -> PromptChunk {
      PromptChunk(tokens, begin: tokenizer.begin, end: tokenizer.end, padding: padding)
    }
    self.init(chunks: contents.map(chunk), truncatedTokens: truncatedTokens, empty: chunk([]))
  }

  private init(chunks: [PromptChunk], truncatedTokens: Int, empty: PromptChunk) {
    self.chunks = chunks
    self.truncatedTokens = truncatedTokens
    self.empty = empty
  }

  /// The same prompt with empty chunks at its end until there are `count`. A prompt and its negative need equally many.
  public func padded(to count: Int) -> PromptChunks {
    precondition(count >= chunks.count, "padding never takes chunks away")
    let added = [PromptChunk](repeating: empty, count: count - chunks.count)
    return PromptChunks(chunks: chunks + added, truncatedTokens: truncatedTokens, empty: empty)
  }

  /// ComfyUI's rule: a text of one weight that does not fit goes to the next chunk as a whole when it has fewer than 8
  /// tokens, and is split where the chunk is full when it has more.
  private static func wholeTexts(_ texts: [[WeightedToken]]) -> [[WeightedToken]] {
    var chunks: [[WeightedToken]] = [[]]
    for text in texts {
      var rest = text[...]
      while chunks[chunks.count - 1].count + rest.count > PromptChunk.capacity {
        if text.count >= 8 {
          let room = PromptChunk.capacity - chunks[chunks.count - 1].count
          chunks[chunks.count - 1] += rest.prefix(room)
          rest = rest.dropFirst(room)
        }
        chunks.append([])
      }
      chunks[chunks.count - 1] += rest
    }
    return chunks
  }
}

extension CLIPTokenizer {
  fileprivate func tokens(of part: PromptPart) -> [WeightedToken] {
    guard case .text(let text, let weight) = part else { return [] }
    return ids(of: text).map { WeightedToken(id: $0, weight: Float(weight)) }
  }
}
