/// A proportional font for labels on pictures, drawn for this room: printable ASCII and the ellipsis, 13 lines high, to be
/// magnified by whole numbers. Other characters show as a box.
enum BitmapFont {
  /// Lines of a glyph, from the top of brackets to the end of descenders.
  static let height = 13
  /// From the top of one line of text to that of the next.
  static let lineHeight = 18
  /// The line on which letters stand, counted from the top.
  static let baseline = 9
  /// Empty columns behind each glyph.
  static let gap = 2
  private static let space = GlyphMask(width: 3, height: height, pixels: Array(repeating: false, count: 3 * height))

  private static let glyphs: [Character: GlyphMask] = {
    let bands = drawing.split(separator: "\n\n").map { band in
      band.split(separator: "\n").map { line in line.split(separator: " ").map { $0.map { $0 == "#" } } }
    }
    let masks = bands.flatMap { band in
      band[0].indices.map { place in
        let rows = band.map { $0[place] }
        let width = rows.map { ($0.lastIndex(of: true) ?? -1) + 1 }.max() ?? 0
        return GlyphMask(width: width, height: rows.count, pixels: rows.flatMap { $0.prefix(width) })
      }
    }
    precondition(masks.count == drawnCharacters.count, "each character is drawn once")
    return Dictionary(uniqueKeysWithValues: zip(drawnCharacters, masks))
  }()

  static func glyph(_ character: Character) -> GlyphMask {
    character == " " ? space : glyphs[character] ?? glyphs["□"]!
  }

  /// The width of a line of text in pixels at scale 1.
  static func width(of text: some StringProtocol) -> Int {
    max(0, text.reduce(0) { $0 + glyph($1).width + gap } - gap)
  }

  /// The text with its middle left out, so that it is no wider than `width`.
  static func shortened(_ text: some StringProtocol, toWidth width: Int) -> String {
    guard self.width(of: text) > width else { return String(text) }
    let characters = Array(text)
    var best = "…"
    for kept in 1..<max(2, characters.count) {
      let head = String(characters.prefix((kept + 1) / 2)), tail = String(characters.suffix(kept / 2))
      let candidate = head.trimmingEnd() + "…" + tail.trimmingStart()
      guard self.width(of: candidate) <= width else { break }
      best = candidate
    }
    return best
  }

  /// The text in at most `count` lines no wider than `width`, broken at spaces, or else behind `-_/.,:@`, or else
  /// anywhere. What is too long for that loses its middle in the last line.
  static func wrapped(_ text: String, toWidth width: Int, lines count: Int) -> [String] {
    precondition(count > 0, "a label has at least one line")
    var lines: [String] = []
    var rest = text.split(whereSeparator: \.isNewline)[...]
    while let paragraph = rest.popFirst() {
      guard lines.count + 1 < count else {
        // No more lines than this: the rest becomes one.
        lines.append(shortened(([paragraph] + rest).joined(separator: " "), toWidth: width))
        return lines
      }
      let end = lineEnd(of: paragraph, width: width)
      lines.append(String(paragraph[..<end]).trimmingEnd())
      let remainder = paragraph[end...].drop { $0 == " " }
      if !remainder.isEmpty { rest = [remainder] + rest }
    }
    return lines
  }

  private static func lineEnd(of text: Substring, width: Int) -> String.Index {
    guard self.width(of: text) > width else { return text.endIndex }
    var (used, place) = (0, text.startIndex)
    var (space, mark): (String.Index?, String.Index?)
    while place < text.endIndex {
      let next = text.index(after: place)
      if text[place] == " ", place > text.startIndex { space = place }
      used += glyph(text[place]).width + gap
      guard used - gap <= width else { break }
      if "-_/.,:@".contains(text[place]) { mark = next }
      place = next
    }
    // One character must go somewhere, however narrow the line.
    return space ?? mark ?? max(place, text.index(after: text.startIndex))
  }
}

extension String {
  fileprivate func trimmingEnd() -> String { String(reversed().drop { $0 == " " }.reversed()) }
  fileprivate func trimmingStart() -> String { String(drop { $0 == " " }) }
}

extension RGBImage {
  /// Writes one line of text with its upper left corner at (`x`, `y`), each pixel of the font `scale` pixels wide.
  mutating func draw(_ text: String, x: Int, y: Int, scale: Int, color: RGBColor) {
    var left = x
    for character in text {
      let mask = BitmapFont.glyph(character).scaled(by: scale)
      for row in 0..<mask.height {
        for column in 0..<mask.width where mask[column, row] {
          fill(PixelRectangle(x: left + column, y: y + row, width: 1, height: 1), with: color)
        }
      }
      left += mask.width + BitmapFont.gap * scale
    }
  }
}
