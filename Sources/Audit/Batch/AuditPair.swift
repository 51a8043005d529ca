public import Factoring

/// What one audit compares.
public struct AuditPair: Equatable, Sendable {
  /// A checkpoint: a file or a folder.
  public var base: String
  /// Adapters with their strengths, one of which may be a checkpoint: what the other side is compared with.
  public var before: [AdapterInput]
  /// Adapters with their strengths, one of which may be a checkpoint: what is checked.
  public var after: [AdapterInput]
  /// A file; `nil` for the one of all audits, if there is one.
  public var prompts: String?

  /// - Parameter prompts: a file; `nil` for the one of all audits.
  public init(base: String, before: [AdapterInput], after: [AdapterInput], prompts: String? = nil) {
    (self.base, self.before, self.after, self.prompts) = (base, before, after, prompts)
  }
}
