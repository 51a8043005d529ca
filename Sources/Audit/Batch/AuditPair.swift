public import Factoring

/// What one audit compares.
public struct AuditPair: Equatable, Sendable {
  public var base: String
  public var before: [AdapterInput]
  public var after: [AdapterInput]
  /// A file; `nil` for the one of all audits, if there is one.
  public var prompts: String?

  public init(base: String, before: [AdapterInput], after: [AdapterInput], prompts: String? = nil) {
    (self.base, self.before, self.after, self.prompts) = (base, before, after, prompts)
  }
}
