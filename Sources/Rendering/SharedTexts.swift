/// What prompts say to a model, for all renderers whose weights have the same text encoders.
public final class SharedTexts: @unchecked Sendable {
  // Sendable: it is read and written on `KernelThread` alone.
  var features: [TextRequest: PromptFeatures] = [:]

  /// No text is known yet.
  public init() {}
}
