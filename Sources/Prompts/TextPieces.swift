/// The pieces of a text that are merged each for itself: words, single numerals, runs of other signs, and the English
/// endings 's 't 're 've 'm 'll 'd wherever they stand. White space only separates.
struct TextPieces: Sequence, IteratorProtocol {
  private static let endings = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map { Array($0.unicodeScalars) }
  /// A special token in capital letters comes here in small ones. It stands apart from the signs around it.
  private static let spelledOut = [TextSection.beginSpelling, TextSection.endSpelling].map { Array($0.unicodeScalars) }

  private let text: [Unicode.Scalar]
  private var index = 0
  /// Pieces that were found already, the next one last.
  private var waiting: [Range<Int>] = []

  init(of text: Substring) { self.text = normalized(text) }

  mutating func next() -> ArraySlice<Unicode.Scalar>? {
    if let piece = waiting.popLast() { return text[piece] }
    while index < text.count, kind(at: index) == .space { index += 1 }
    guard index < text.count else { return nil }
    let start = index
    if let special = match(Self.spelledOut) {
      // Its signs and its word are pieces of their own.
      index += special
      waiting = [index - 2..<index, start + 2..<index - 2]
      return text[start..<start + 2]
    }
    if let ending = match(Self.endings) {
      index += ending
      return text[start..<index]
    }
    let kind = kind(at: index)
    index += 1
    if kind != .number {
      while index < text.count, self.kind(at: index) == kind { index += 1 }
    }
    return text[start..<index]
  }

  private func match(_ spellings: [[Unicode.Scalar]]) -> Int? {
    spellings.first { text[index...].starts(with: $0) }?.count
  }

  private func kind(at index: Int) -> ScalarKind { ScalarKind(text[index]) }
}

/// What a scalar is to tokenizers.
enum ScalarKind {
  case space, letter, number, other

  init(_ scalar: Unicode.Scalar) {
    switch scalar {
    case "a"..."z", "A"..."Z": self = .letter
    case "0"..."9": self = .number
    case _ where scalar.properties.isWhitespace: self = .space
    case _ where scalar.isASCII: self = .other
    default: self = Self.beyondASCII(scalar)
    }
  }

  private static func beyondASCII(_ scalar: Unicode.Scalar) -> ScalarKind {
    // The reference's tables are Unicode 16: it takes what came later for signs.
    guard let age = scalar.properties.age, age.major <= 16 else { return .other }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return .letter
    case .decimalNumber, .letterNumber, .otherNumber: return .number
    default: return .other
    }
  }
}
