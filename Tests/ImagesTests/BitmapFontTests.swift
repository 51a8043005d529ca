import TestSupport
import Testing

@testable import Images

@Suite struct BitmapFontTests {
  private let printable = (33...126).map { Character(Unicode.Scalar($0)) }

  @Test("each printable character has a glyph of its own, and others the box")
  func glyphs() {
    var seen: [GlyphMask] = []
    for character in printable + ["…"] {
      let mask = BitmapFont.glyph(character)
      #expect(mask.height == 13 && (1...9).contains(mask.width), "\(character)")
      #expect(mask != BitmapFont.glyph("□") && !seen.contains(mask), "\(character)")
      seen.append(mask)
    }
    for character in ["é", "富", "🗻", "\u{7f}", "\t"] as [Character] {
      #expect(BitmapFont.glyph(character) == BitmapFont.glyph("□"))
    }
    #expect(!BitmapFont.glyph(" ").pixels.contains(true))
  }

  @Test("letters and digits stand on one line and have one height")
  func lines() {
    func rows(_ character: Character) -> [Int] {
      let mask = BitmapFont.glyph(character)
      return (0..<13).filter { row in (0..<mask.width).contains { mask[$0, row] } }
    }
    for character in "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789bdfhklt" {
      #expect(rows(character).first == 1 && rows(character).last == BitmapFont.baseline, "\(character)")
    }
    for character in "acemnorsuvwxz" {
      #expect(rows(character).first == 3 && rows(character).last == BitmapFont.baseline, "\(character)")
    }
    for character in "gpqy" { #expect(rows(character).first == 3 && rows(character).last == 12, "\(character)") }
    #expect(Set("0123456789".map { BitmapFont.glyph($0).width }) == [6])
  }

  @Test("magnifying keeps upright shapes and smooths slanted ones")
  func scaling() {
    func mask(_ rows: String...) -> GlyphMask {
      GlyphMask(width: rows[0].count, height: rows.count, pixels: rows.joined().map { $0 == "#" })
    }
    #expect(mask("#.", "##").scaled(by: 1) == mask("#.", "##"))
    #expect(mask("#.", "##").scaled(by: 3) == mask("###...", "###...", "###...", "######", "######", "######"))
    #expect(mask("###").scaled(by: 2).pixels == Array(repeating: true, count: 12))
    // A staircase becomes a slope: the inner corners are filled, the outer ones cut.
    #expect(
      mask("#..", ".#.", "..#").scaled(by: 2)
        == mask("##....", "###...", ".###..", "..###.", "...###", "....##"))
    let letter = BitmapFont.glyph("e")
    #expect(letter.scaled(by: 4) == letter.scaled(by: 2).scaled(by: 2))
    #expect(letter.scaled(by: 6) == letter.scaled(by: 2).scaled(by: 3))
  }

  @Test("a line is as wide as its glyphs and the gaps between them")
  func widths() {
    #expect(BitmapFont.width(of: "") == 0)
    #expect(BitmapFont.width(of: "i") == 1)
    #expect(BitmapFont.width(of: "il H") == 1 + 2 + 2 + 2 + 3 + 2 + 7)
  }

  @Test("what is written is what the glyphs say, and stays inside the picture")
  func drawing() {
    var image = RGBImage(width: 60, height: 30, filledWith: .white)
    image.draw("Fe", x: 3, y: 2, scale: 2, color: .black)
    let (first, second) = (BitmapFont.glyph("F").scaled(by: 2), BitmapFont.glyph("e").scaled(by: 2))
    for y in 0..<30 {
      for x in 0..<60 {
        let isSet = first[x - 3, y - 2] || second[x - 3 - 2 * 8, y - 2]
        #expect(image[x, y] == (isSet ? .black : .white))
      }
    }
    image.draw("outside", x: -20, y: 25, scale: 3, color: .black)
  }

  @Test("texts are shortened in the middle")
  func shortening() {
    #expect(BitmapFont.shortened("short", toWidth: 200) == "short")
    let name = "watercolour_portraits_v2_epoch-10.safetensors"
    for width in 12...400 {
      let result = BitmapFont.shortened(name, toWidth: width)
      #expect(BitmapFont.width(of: result) <= width)
      let parts = result.split(separator: "…", omittingEmptySubsequences: false)
      if result != name {
        #expect(parts.count == 2 && name.hasPrefix(parts[0]) && name.hasSuffix(parts[1]))
        #expect((0...1).contains(parts[0].count - parts[1].count))
      }
    }
    #expect(BitmapFont.shortened("aaaa bbbb cccc", toWidth: 75) == "aaaa…cccc")
    #expect(BitmapFont.shortened("wide", toWidth: 1) == "…")
  }

  @Test("texts are broken at spaces, then behind marks, then anywhere")
  func wrapping() {
    func wrapped(_ text: String, _ width: Int, _ lines: Int) -> [String] {
      BitmapFont.wrapped(text, toWidth: width, lines: lines)
    }
    #expect(wrapped("", 50, 3) == [])
    #expect(wrapped("one two three", 60, 3) == ["one two", "three"])
    #expect(wrapped("one  two", 30, 3) == ["one", "two"])
    #expect(wrapped("one\ntwo\n\nthree", 200, 3) == ["one", "two", "three"])
    #expect(wrapped("one\ntwo\nthree", 200, 2) == ["one", "two three"])
    #expect(wrapped("style_v2.safetensors", 80, 3) == ["style_v2.", "safetensors"])
    #expect(wrapped("aaaaaaaaaaaa", 40, 3) == ["aaaaa", "aaaaa", "aa"])
    #expect(wrapped("one two three", 30, 2) == ["one", "t…e"])
    #expect(wrapped("ab", 1, 3) == ["a", "b"])
  }

  @Test("every line fits, and nothing is lost where there are lines enough")
  func randomWrapping() {
    let seed = UInt64.random(in: 0..<(.max))
    var generator = SplitMix64(seed: seed)
    for _ in 0..<500 {
      let text = String((0..<generator.below(60)).map { _ in Array("ab m._W\nié")[generator.below(10)] })
      let width = 12 + generator.below(100)
      let all = BitmapFont.wrapped(text, toWidth: width, lines: 1000)
      #expect(all.joined().filter { $0 != " " } == text.filter { !$0.isWhitespace }, "seed \(seed)")
      for count in 1...3 {
        let lines = BitmapFont.wrapped(text, toWidth: width, lines: count)
        #expect(lines.count <= count, "seed \(seed)")
        for line in all + lines { #expect(BitmapFont.width(of: line) <= width, "seed \(seed)") }
      }
    }
  }
}
