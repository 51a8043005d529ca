import Testing

@testable import Prompts

/// The tables of characters against those of the reference tokenizer, for all of Unicode.
@Suite struct CharacterTests {
  @Test func everyScalarIsOfItsClass() throws {
    var classes = [String](repeating: "others", count: 0x110000)
    for (name, ranges) in CharacterGolden.all.ranges {
      for range in ranges { for value in range[0]...range[1] { classes[Int(value)] = name } }
    }
    let changed = Set(CharacterGolden.all.changed.map { $0[0].unicodeScalars.first! })
    var wrong: [String] = []
    for value in UInt32(0)..<0x110000 {
      guard let scalar = Unicode.Scalar(value), !changed.contains(scalar) else { continue }
      // Spaces separate, letters and other signs make runs, numerals stand alone; a sign joins others of its kind.
      let found =
        switch TextPieces(of: "\u{E000}\(scalar)\(scalar)").map(\.count) {
        case [1]: "spaces"
        case [3]: "others"
        case [1, 2]: "letters"
        case [1, 1, 1]: "numbers"
        case let counts: "\(counts)"
        }
      if found != classes[Int(value)] { wrong.append(String(value, radix: 16)) }
    }
    #expect(wrong == [])
  }

  @Test func everyScalarIsNormalized() throws {
    #expect(CharacterGolden.all.changed.count > 2000)
    var changed: [Unicode.Scalar: [Unicode.Scalar]] = [:]
    for pair in CharacterGolden.all.changed { changed[pair[0].unicodeScalars.first!] = Array(pair[1].unicodeScalars) }
    var wrong: [String] = []
    for value in UInt32(0)..<0x110000 {
      guard let scalar = Unicode.Scalar(value), !scalar.properties.isWhitespace else { continue }
      if normalized(Substring(String(scalar))) != changed[scalar] ?? [scalar] { wrong.append(String(value, radix: 16)) }
    }
    #expect(wrong == [])
  }

  @Test func sequencesAreComposed() throws {
    #expect(CharacterGolden.all.sequences.count == 3000)
    for pair in CharacterGolden.all.sequences {
      // Texts compare equal in all their forms, scalars do not.
      let isRight = normalized(pair[0][...]).elementsEqual(pair[1].unicodeScalars)
      #expect(isRight, "scalars \(hexadecimal(pair[0])), seed \(CharacterGolden.all.seed)")
    }
  }
}
