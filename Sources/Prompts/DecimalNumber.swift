/// The number that `text` is in decimal notation, with white space around it allowed; nil for anything else. Neither
/// "nan", "inf" nor hexadecimal digits are numbers here.
func decimalNumber(_ text: some StringProtocol) -> Double? {
  let digits = text.trimmingWhitespace()
  guard digits.utf8.allSatisfy({ "0123456789.+-eE".utf8.contains($0) }) else { return nil }
  return Double(digits).flatMap { $0.isFinite ? $0 : nil }
}

extension StringProtocol {
  /// The text without the white space at its ends.
  func trimmingWhitespace() -> String {
    let start = unicodeScalars.drop { $0.properties.isWhitespace }
    guard let last = start.lastIndex(where: { !$0.properties.isWhitespace }) else { return "" }
    return String(String.UnicodeScalarView(start[...last]))
  }
}
