/// A measure and the limit that is good enough: `ssim>=0.98`.
public struct AuditLimit: Sendable {
  /// The one that the text names by its `searchName`.
  public let measure: AuditMeasure
  /// In the measure's unit; finite.
  public let limit: Double
  /// As it was written, without spaces.
  public let text: String

  /// Reads a measure's `searchName`, the sign that its values are better on, and a finite number; `nil` for anything else.
  public init?(_ argument: String) {
    text = argument.filter { $0 != " " }
    for sign in ["<=", ">="] {
      guard let place = text.firstRange(of: sign) else { continue }
      let name = text[..<place.lowerBound].lowercased()
      guard let measure = AuditMeasure.all.first(where: { $0.searchName == name }),
        let limit = Double(text[place.upperBound...]), limit.isFinite, measure.isLeast == (sign == ">=")
      else { return nil }
      (self.measure, self.limit) = (measure, limit)
      return
    }
    return nil
  }

  /// Whether a value is no worse than the limit. NaN keeps none.
  public func isKept(by value: Double) -> Bool { measure.keeps(limit, value) }
}
