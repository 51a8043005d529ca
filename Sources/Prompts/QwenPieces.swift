/// The pieces of a text that Qwen's tokenizer merges each for itself: words with the sign or space before them, single
/// numerals, runs of signs, runs of white space, and the English endings 's 't 're 've 'm 'll 'd in any case.
///
/// What `pattern` says, without a machine for patterns.
struct QwenPieces: Sequence, IteratorProtocol {
  /// The pattern as `tokenizer.json` has it.
  static let pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private static let endings: [[Unicode.Scalar]] = ["s", "t", "re", "ve", "m", "ll", "d"].map {
    Array($0.unicodeScalars)
  }

  private let text: [Unicode.Scalar]
  private var index = 0

  /// - Parameter text: composed.
  init(of text: [Unicode.Scalar]) { self.text = text }

  mutating func next() -> ArraySlice<Unicode.Scalar>? {
    guard index < text.count else { return nil }
    let start = index
    index = end()
    return text[start..<index]
  }

  /// Where the piece that begins here ends: the first rule of the pattern that fits.
  private func end() -> Int {
    if let end = endOfEnding() { return end }
    let first = kind(index)
    if first == .letter { return end(of: .letter, from: index) }
    if first != .number, !isLineEnd(index), kind(index + 1) == .letter { return end(of: .letter, from: index + 1) }
    if first == .number { return index + 1 }
    let signs = text[index] == " " ? index + 1 : index
    if kind(signs) == .other {
      var end = end(of: .other, from: signs)
      while isLineEnd(end) { end += 1 }
      return end
    }
    let end = end(of: .space, from: index)
    if let line = (index..<end).last(where: isLineEnd) { return line + 1 }
    // The last space goes with what follows.
    return end == text.count || end == index + 1 ? end : end - 1
  }

  private func endOfEnding() -> Int? {
    guard text[index] == "'" else { return nil }
    for ending in Self.endings where index + ending.count < text.count {
      let end = index + 1 + ending.count
      if zip(text[index + 1..<end], ending).allSatisfy({ Self.folded($0) == $1 }) { return end }
    }
    return nil
  }

  /// In small letters, the long s too.
  private static func folded(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    switch scalar {
    case "A"..."Z": Unicode.Scalar(scalar.value + 32)!
    case "\u{17F}": "s"
    default: scalar
    }
  }

  private func kind(_ place: Int) -> ScalarKind? { place < text.count ? ScalarKind(text[place]) : nil }

  private func isLineEnd(_ place: Int) -> Bool { place < text.count && (text[place] == "\n" || text[place] == "\r") }

  private func end(of kind: ScalarKind, from start: Int) -> Int {
    var end = start
    while self.kind(end) == kind { end += 1 }
    return end
  }
}
