extension GenerationParameters {
  /// Reads the text form. Any text can be read: what is not recognised as settings or a negative prompt is the prompt.
  ///
  /// The last line counts as settings when at least three are found in it, the rule of A1111. Lines that end with "\r\n",
  /// as other tools write them, are understood. White space at the ends of the prompts is dropped.
  public init(text: String) {
    // Scalars, since "\r\n" is one character.
    let whole = Self.trimmed(text[...])
    var lines = whole.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      Substring(line.last == "\r" ? line.dropLast() : line)
    }
    let settings = Self.settings(in: lines.last ?? "")
    if settings.count >= 3 { lines.removeLast() }
    let start = lines.firstIndex { Self.trimmed($0).hasPrefix(Self.negativeMark) } ?? lines.endIndex
    var negative = lines[start...]
    if let first = negative.first {
      negative[start] = Substring(first.unicodeScalars.drop { $0.properties.isWhitespace }).dropFirst(
        Self.negativeMark.count)
    }
    self.init(
      prompt: String(Self.trimmed(lines[..<start].joined(separator: "\n")[...])),
      negativePrompt: String(Self.trimmed(negative.joined(separator: "\n")[...])),
      settings: settings.count >= 3 ? settings : [])
  }

  /// The settings of a line: keys and values with a colon between, and commas between the pairs. What is neither is passed
  /// over up to the next comma.
  static func settings(in line: Substring) -> [Setting] {
    var settings: [Setting] = []
    var rest = line.unicodeScalars
    while !rest.isEmpty {
      let keyEnd = rest.firstIndex { $0 == ":" || $0 == "," } ?? rest.endIndex
      let key = trimmed(Substring(rest[..<keyEnd]))
      guard keyEnd < rest.endIndex, rest[keyEnd] == ":", Setting.isKey(key) else {
        rest = keyEnd < rest.endIndex ? rest[rest.index(after: keyEnd)...] : rest[rest.endIndex...]
        continue
      }
      rest = rest[rest.index(after: keyEnd)...].drop { $0.properties.isWhitespace }
      if let (value, end) = quotedValue(rest) {
        settings.append(Setting(String(key), value))
        rest = rest[end...]
      } else {
        let end = rest.firstIndex(of: ",") ?? rest.endIndex
        settings.append(Setting(String(key), String(rest[..<end])))
        rest = rest[end...]
      }
      rest = rest.dropFirst()
    }
    return settings
  }

  /// The JSON string at the beginning of `text`, where there is one that a comma or the end follows.
  private static func quotedValue(_ text: Substring.UnicodeScalarView) -> (value: String, end: String.Index)? {
    guard text.first == "\"" else { return nil }
    var value = String.UnicodeScalarView()
    var scalars = text.dropFirst()
    while let scalar = scalars.popFirst() {
      switch scalar {
      case "\"":
        guard scalars.isEmpty || scalars.first == "," else { return nil }
        return (String(value), scalars.startIndex)
      case "\\":
        guard let escaped = unescaped(&scalars) else { return nil }
        value.append(escaped)
      default: value.append(scalar)
      }
    }
    return nil
  }

  /// The character that an escape stands for, with `scalars` standing behind its backslash.
  private static func unescaped(_ scalars: inout Substring.UnicodeScalarView) -> Unicode.Scalar? {
    switch scalars.popFirst() {
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "b": return "\u{8}"
    case "f": return "\u{c}"
    case "u":
      guard let first = codeUnit(&scalars) else { return nil }
      guard UTF16.isLeadSurrogate(first) else { return Unicode.Scalar(first) }
      guard scalars.popFirst() == "\\", scalars.popFirst() == "u", let second = codeUnit(&scalars) else { return nil }
      guard UTF16.isTrailSurrogate(second) else { return nil }
      return UTF16.decode(UTF16.EncodedScalar([first, second]))
    case let other?: return "\"\\/".unicodeScalars.contains(other) ? other : nil
    case nil: return nil
    }
  }

  private static func codeUnit(_ scalars: inout Substring.UnicodeScalarView) -> UInt16? {
    let digits = scalars.prefix(4)
    guard digits.count == 4, digits.allSatisfy({ $0.properties.isASCIIHexDigit }) else { return nil }
    scalars.removeFirst(4)
    return UInt16(String(digits), radix: 16)
  }
}
