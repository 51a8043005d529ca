public import Audit

/// What an audit's report advises, in the words of whoever shows it.
///
/// `usual` has words that need no program; one with options for all this says them instead.
public struct AuditWords: Sendable {
  /// What to do about a measure whose limit is not kept: whole sentences.
  public var advice: @Sendable (AuditMeasure) -> String
  /// What to do about a cause, or who tells more: the end of the sentence about it, or one of its own; `nil` for nothing.
  public var remedy: @Sendable (AuditReason) -> String?
  /// Why a part is missing.
  public var failure: @Sendable (any Error) -> String

  /// Words for all three; `usual` has the same without a program.
  public init(
    advice: @escaping @Sendable (AuditMeasure) -> String, remedy: @escaping @Sendable (AuditReason) -> String?,
    failure: @escaping @Sendable (any Error) -> String
  ) {
    (self.advice, self.remedy, self.failure) = (advice, remedy, failure)
  }

  /// Advice of the measures themselves, and errors by their descriptions.
  public static let usual = AuditWords(
    advice: { $0.advice },
    remedy: {
      if case .coarseFormat = $0 { "Store f16, or bake with shaped rounding, or keep the base's scales." } else { nil }
    }, failure: { "\($0)" })
}
