/// What prompts say to a model, for all renderers whose weights have the same text encoders.
public final class SharedTexts {
  var features: [TextRequest: PromptFeatures] = [:]

  /// No text is known yet.
  public init() {}
}
