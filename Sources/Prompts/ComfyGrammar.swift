/// ComfyUI's prompt language, as its `token_weights` reads it.
///
/// - `(text)` multiplies the weight around it by 1.1; `(text:1.3)` replaces it. A number reaches into the brackets inside.
/// - One that is never closed is text, and so is one that closes nothing, together with the next one that opens.
/// - `\(` and `\)` are parentheses as text; other backslashes stay.
enum ComfyGrammar {
  static func parts(of prompt: String) throws(PromptError) -> [PromptPart] {
    var parts: [PromptPart] = []
    let signs = signs(of: prompt)
    var depth = 0
    for sign in signs {
      if sign.opens { depth += 1 } else if sign.closes { depth = max(0, depth - 1) }
      guard depth <= PromptStyle.deepest else { throw PromptError(.tooDeep(limit: PromptStyle.deepest)) }
    }
    append(signs[...], weight: 1, to: &parts)
    return parts
  }

  /// A scalar, and whether a backslash made it text.
  private struct Sign {
    let scalar: Unicode.Scalar
    var isEscaped = false

    var opens: Bool { scalar == "(" && !isEscaped }
    var closes: Bool { scalar == ")" && !isEscaped }
  }

  private static func signs(of prompt: String) -> [Sign] {
    var signs: [Sign] = []
    for scalar in prompt.unicodeScalars {
      if scalar == "(" || scalar == ")", let last = signs.last, last.scalar == "\\" {
        signs[signs.count - 1] = Sign(scalar: scalar, isEscaped: true)
      } else {
        signs.append(Sign(scalar: scalar))
      }
    }
    return signs
  }

  private static func append(_ signs: ArraySlice<Sign>, weight: Double, to parts: inout [PromptPart]) {
    for group in groups(of: signs) {
      guard group.count >= 2, group.first!.opens, group.last!.closes else {
        parts.append(.text(text(of: group), weight: weight))
        continue
      }
      let content = group.dropFirst().dropLast()
      if let colon = content.lastIndex(where: { $0.scalar == ":" }), colon > content.startIndex,
        let number = decimalNumber(text(of: content[(colon + 1)...]))
      {
        append(content[..<colon], weight: number, to: &parts)
      } else {
        append(content, weight: weight * 1.1, to: &parts)
      }
    }
  }

  /// The outermost pairs of parentheses, and what is between them.
  private static func groups(of signs: ArraySlice<Sign>) -> [ArraySlice<Sign>] {
    var groups: [ArraySlice<Sign>] = []
    var start = signs.startIndex
    var depth = 0
    for index in signs.indices {
      if signs[index].opens {
        if depth == 0 {
          groups.append(signs[start..<index])
          start = index
        }
        depth += 1
      } else if signs[index].closes {
        depth -= 1
        if depth == 0 {
          groups.append(signs[start...index])
          start = index + 1
        }
      }
    }
    groups.append(signs[start...])
    return groups.filter { !$0.isEmpty }
  }

  private static func text(of signs: ArraySlice<Sign>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: signs.lazy.map(\.scalar))
    return String(view)
  }
}
