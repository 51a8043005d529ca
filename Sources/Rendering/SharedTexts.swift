/// What prompts say to a model, for all renderers whose weights have the same text encoders.
public final class SharedTexts {
  typealias Features = (prompt: TextConditioner.Features, negative: TextConditioner.Features?)

  var features: [TextConditioner.Texts: Features] = [:]

  public init() {}
}
