/// A sign of A1111's prompt language.
enum A1111Token: Equatable {
  /// A bracket or backslash after a backslash; empty after a backslash that stands before anything else.
  case escaped(String)
  case open(Character)
  case close(Character)
  /// `:1.3)`, whole and only the number.
  case weight(String, number: String)
  /// Anything up to the next sign.
  case text(String)

  static func tokens(of prompt: String) -> [A1111Token] {
    let scalars = Array(prompt.unicodeScalars)
    var tokens: [A1111Token] = []
    var index = 0
    while index < scalars.count {
      let start = index
      index += 1
      switch scalars[start] {
      case "\\":
        if index < scalars.count, "()[]\\".unicodeScalars.contains(scalars[index]) {
          tokens.append(.escaped(String(scalars[index])))
          index += 1
        } else {
          tokens.append(.escaped(""))
        }
      case "(", "[": tokens.append(.open(Character(scalars[start])))
      case ")", "]": tokens.append(.close(Character(scalars[start])))
      case ":":
        guard let weight = weight(after: index, in: scalars) else {
          tokens.append(.text(":"))
          continue
        }
        index = weight.end
        tokens.append(.weight(String(scalars[start..<index]), number: weight.number))
      default:
        while index < scalars.count, !"\\()[]:".unicodeScalars.contains(scalars[index]) { index += 1 }
        tokens.append(.text(String(scalars[start..<index])))
      }
    }
    return tokens
  }

  /// White space, a sign, digits and points, white space, and a bracket that closes.
  private static func weight(after colon: Int, in scalars: [Unicode.Scalar]) -> (number: String, end: Int)? {
    var index = colon
    func skip(_ isSkipped: (Unicode.Scalar) -> Bool) {
      while index < scalars.count, isSkipped(scalars[index]) { index += 1 }
    }
    skip { $0.properties.isWhitespace }
    let start = index
    if index < scalars.count, scalars[index] == "+" || scalars[index] == "-" { index += 1 }
    let digits = index
    skip { ("0"..."9").contains($0) || $0 == "." }
    let end = index
    skip { $0.properties.isWhitespace }
    guard end > digits, index < scalars.count, scalars[index] == ")" else { return nil }
    return (String(scalars[start..<end]), index + 1)
  }
}
