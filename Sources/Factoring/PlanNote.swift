/// Something that the user of a plan should know before or instead of the work, as a value: whoever shows it adds what to try.
public struct PlanNote: Sendable, Equatable {
  /// What can be done about it.
  public enum Remedy: Sendable, Equatable {
    /// To say which family the model is of, or to give a base that tells it.
    case family
    /// To give all targets one alpha.
    case oneAlpha
    /// To give the base, with which whole weights are compared or replaced.
    case base(reason: String?)
    /// To write diffusers' dialect.
    case diffusersNames
  }

  /// One sentence without a hint.
  public let text: String
  /// What to try, in words that need no program; `nil` where there is nothing to do.
  public let remedy: Remedy?

  package init(_ text: String, remedy: Remedy? = nil) { (self.text, self.remedy) = (text, remedy) }
}
