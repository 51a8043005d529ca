import Tensors

/// What a search for the smallest good enough file tried.
public struct UntilReport: Encodable, Sendable {
  public struct Try: Encodable, Sendable {
    /// Of all targets together.
    public let components: Int
    public let bytes: Int
    /// Of the weights, measured on what was written.
    public let relativeError: Double
    public let value: Double
    public let passes: Bool

    public init(components: Int, bytes: Int, relativeError: Double, value: Double, passes: Bool) {
      (self.components, self.bytes, self.relativeError) = (components, bytes, relativeError)
      (self.value, self.passes) = (value, passes)
    }

    /// For people who wait.
    public func line(_ limit: String) -> String {
      "\(components) components, \(ByteCount(bytes)): \(Numbers.short(value)) \(passes ? "keeps" : "misses") \(limit)"
    }
  }

  /// By the name of the audit's check.
  let measure: String
  let limit: Double
  let tries: [Try]
  private let text: String

  private enum CodingKeys: String, CodingKey { case measure, limit, tries }

  /// - Parameters:
  ///   - text: the limit as it was written: `ssim>=0.98`.
  ///   - tries: in their order.
  public init(measure: String, limit: Double, text: String, _ tries: [Try]) {
    (self.measure, self.limit, self.tries, self.text) = (measure, limit, tries, text)
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
