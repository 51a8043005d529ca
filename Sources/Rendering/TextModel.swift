public import Prompts

/// What reads texts for a denoiser: one text encoder, or several.
public protocol TextModel {
  /// - Throws: `PromptError` for texts that break the rules of their style.
  func features(of request: TextRequest) throws -> PromptFeatures

  /// The same for several texts, in their order: some models read their weights once for all of them.
  func features(of requests: [TextRequest]) throws -> [PromptFeatures]
}

extension TextModel {
  /// One after the other.
  public func features(of requests: [TextRequest]) throws -> [PromptFeatures] {
    try requests.map { try features(of: $0) }
  }
}

/// A prompt, what it is guided away from, and how both are read.
public struct TextRequest: Hashable, Sendable {
  /// As the user wrote it, weights and all.
  public var prompt: String
  /// `nil` for none, which for some models is not the same as an empty text.
  public var negative: String?
  /// How weights and breaks in both texts are read.
  public var style: PromptStyle
  /// Layers left out at the encoder's end, 0 for none.
  public var layersSkipped: Int
  /// Whether the negative is needed at all.
  public var isGuided: Bool

  /// A text by itself, read as A1111 reads it, if nothing else is given.
  public init(
    prompt: String, negative: String? = nil, style: PromptStyle = .a1111, layersSkipped: Int = 0, isGuided: Bool = false
  ) {
    (self.prompt, self.negative, self.style) = (prompt, negative, style)
    (self.layersSkipped, self.isGuided) = (layersSkipped, isGuided)
  }
}

/// What a text says to a denoiser.
public struct TextFeatures: Sendable {
  /// Tokens × width.
  public var values: [Float]
  /// How many rows `values` has.
  public let tokens: Int
  /// One vector for the whole text; empty for models that take none.
  public var summary: [Float]

  /// `values` token by token, with equally many features for each; at least one token.
  public init(values: [Float], tokens: Int, summary: [Float]) {
    precondition(tokens > 0 && values.count % tokens == 0, "equally many features for each token")
    (self.values, self.tokens, self.summary) = (values, tokens, summary)
  }

  /// Features of each token.
  public var width: Int { values.count / tokens }

  /// The same extents, all zero.
  var zeroed: TextFeatures {
    TextFeatures(values: values.map { _ in 0 }, tokens: tokens, summary: summary.map { _ in 0 })
  }
}

/// What a prompt and its negative say.
///
/// Where a model's texts are filled up, both have equally many tokens.
public struct PromptFeatures: Sendable {
  /// Of the prompt itself.
  public let prompt: TextFeatures
  /// `nil` where nothing is guided.
  public let negative: TextFeatures?

  /// A negative where something is guided.
  public init(prompt: TextFeatures, negative: TextFeatures?) { (self.prompt, self.negative) = (prompt, negative) }
}
