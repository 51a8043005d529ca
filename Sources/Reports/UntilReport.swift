public import Audit
import Tensors

/// What a search for the smallest good enough file tried.
public struct UntilReport: Encodable, Sendable {
  struct Try: Encodable, Sendable {
    let components: Int
    let bytes: Int
    let relativeError: Double
    let value: Double
    let passes: Bool
  }

  /// By the name of the audit's check.
  let measure: String
  let limit: Double
  /// In their order.
  let tries: [Try]
  private let text: String

  private enum CodingKeys: String, CodingKey { case measure, limit, tries }

  /// - Parameters:
  ///   - limit: what the search was for.
  ///   - attempts: in the order in which they were made.
  public init(_ limit: AuditLimit, _ attempts: [SmallestResize.Attempt]) {
    (measure, self.limit, text) = (limit.measure.name, limit.limit, limit.text)
    tries = attempts.map {
      Try(
        components: $0.components, bytes: $0.bytes, relativeError: $0.relativeError, value: $0.value,
        passes: $0.passes)
    }
  }

  /// An attempt, for people who wait.
  public static func line(_ attempt: SmallestResize.Attempt, for limit: AuditLimit) -> String {
    "\(attempt.components) components, \(ByteCount(attempt.bytes)): \(Numbers.short(attempt.value)) "
      + "\(attempt.passes ? "keeps" : "misses") \(limit.text)"
  }

  func lines(width: Int) -> [String] {
    var table = TextTable(
      .number("components"), .number("bytes"), .number("relative error"), .number("measured"), .word(""))
    for attempt in tries {
      table.add(
        String(attempt.components), Numbers.grouped(attempt.bytes), Numbers.short(attempt.relativeError),
        Numbers.short(attempt.value), attempt.passes ? "✓" : "✗")
    }
    return ["tries for \(text)"] + table.lines(width: width)
  }
}
