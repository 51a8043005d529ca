/// The prompt language of the A1111 web interface, as its `parse_prompt_attention` reads it.
///
/// - `(text)` multiplies the weight of all in it by 1.1, `[text]` divides by 1.1, `(text:1.3)` multiplies by the number.
/// - A bracket that is never closed reaches to the end of the text; one that closes nothing is text.
/// - A backslash makes the bracket or backslash after it text; before anything else it disappears.
/// - The word `BREAK` ends a chunk. (A1111 takes it for text when it stands in brackets with a weight; here it ends the
///   chunk everywhere.)
/// - Neighbours of equal weight are one text.
///
/// Prompt editing `[a:b:0.5]`, alternation `[a|b]` and composition `AND` change the prompt from step to step; they are
/// errors.
enum A1111Grammar {
  static func parts(of prompt: String) throws(PromptError) -> [PromptPart] {
    if let refused = A1111Schedule.firstConstruct(in: prompt) { throw PromptError(refused) }
    var parts: [PromptPart] = []
    // Where the brackets that are open began, as indices of `parts`.
    var round: [Int] = []
    var square: [Int] = []
    func multiply(from start: Int, by factor: Double) {
      for index in parts[start...].indices {
        if case .text(let text, let weight) = parts[index] { parts[index] = .text(text, weight: weight * factor) }
      }
    }
    for token in A1111Token.tokens(of: prompt) {
      guard round.count + square.count <= PromptStyle.deepest else {
        throw PromptError(.tooDeep(limit: PromptStyle.deepest))
      }
      switch token {
      case .escaped(let text): parts.append(.text(text, weight: 1))
      case .open("("): round.append(parts.count)
      case .open: square.append(parts.count)
      case .weight(_, let number) where !round.isEmpty:
        guard let factor = decimalNumber(number) else { throw PromptError(.weight(text: number)) }
        multiply(from: round.removeLast(), by: factor)
      case .close(")") where !round.isEmpty: multiply(from: round.removeLast(), by: 1.1)
      case .close("]") where !square.isEmpty: multiply(from: square.removeLast(), by: 1 / 1.1)
      case .weight(let text, _), .text(let text): parts += splitAtBreaks(text)
      case .close(let bracket): parts.append(.text(String(bracket), weight: 1))
      }
    }
    for start in round { multiply(from: start, by: 1.1) }
    for start in square { multiply(from: start, by: 1 / 1.1) }
    return joined(parts)
  }

  /// The texts before, between and after the words `BREAK`, which swallow the white space around them.
  private static func splitAtBreaks(_ text: String) -> [PromptPart] {
    let scalars = Array(text.unicodeScalars)
    var parts: [PromptPart] = []
    var start = 0
    for word in scalars.places(ofWord: "BREAK") {
      var end = word.lowerBound
      while end > start, scalars[end - 1].properties.isWhitespace { end -= 1 }
      parts += [.text(String(scalars[start..<end]), weight: 1), .chunkBreak]
      start = word.upperBound
      while start < scalars.count, scalars[start].properties.isWhitespace { start += 1 }
    }
    return parts + [.text(String(scalars[start...]), weight: 1)]
  }

  /// Neighbours of equal weight as one text; without empty texts.
  private static func joined(_ parts: [PromptPart]) -> [PromptPart] {
    var result: [PromptPart] = []
    for part in parts {
      if case .text(let text, let weight) = part, case .text(let before, weight)? = result.last {
        result[result.count - 1] = .text(before + text, weight: weight)
      } else {
        result.append(part)
      }
    }
    return result.filter { if case .text("", _) = $0 { false } else { true } }
  }
}

extension String {
  init(_ scalars: ArraySlice<Unicode.Scalar>) {
    var view = UnicodeScalarView()
    view.append(contentsOf: scalars)
    self = String(view)
  }
}

extension [Unicode.Scalar] {
  /// Where `word` stands with no letter, numeral or underscore beside it.
  func places(ofWord word: String) -> [Range<Int>] {
    let word = Array(word.unicodeScalars)
    return indices.compactMap { start in
      let end = start + word.count
      guard end <= count, self[start..<end].elementsEqual(word) else { return nil }
      guard start == 0 || !self[start - 1].isOfWord, end == count || !self[end].isOfWord else { return nil }
      return start..<end
    }
  }
}

extension Unicode.Scalar {
  /// Whether this is a letter, a numeral or an underscore.
  var isOfWord: Bool { self == "_" || properties.isAlphabetic && !isMark || properties.numericType != nil }

  var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }
}
