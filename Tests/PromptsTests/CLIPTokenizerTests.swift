import FoundationEssentials
import TestSupport
import Testing

@testable import Prompts

@Suite struct CLIPTokenizerTests {
  private let tokenizer = CLIPTokenizer.standard

  @Test func sizes() {
    #expect(tokenizer.vocabularySize == 49408)
    #expect(tokenizer.begin == 49406)
    #expect(tokenizer.end == 49407)
    #expect(tokenizer.comma == 267)
    #expect(tokenizer.ids(of: "!") == [256])
  }

  @Test(
    "published tokens",
    arguments: [
      ("a photo of a cat", [320, 1125, 539, 320, 2368]),
      (
        "A  Photo, of a CAT's 2023 best!!!",
        [320, 1125, 267, 539, 320, 2368, 568, 273, 271, 273, 274, 949, 995]
      ),
      ("don't she'd we've", [847, 713, 1043, 1896, 649, 1200]),
      ("caf\u{e9} na\u{ef}ve \u{dc}n\u{ef}code", [15304, 1097, 35689, 563, 6522, 77, 35689, 3217]),
      ("'sun", [568, 2271]),
      ("123abc4.5", [272, 273, 274, 5334, 275, 269, 276]),
      ("_under_score-", [318, 1798, 318, 4431, 268]),
      ("a\u{a0}b\u{200b}c", [320, 321, 9844, 322]),
      (String(repeating: "x", count: 40), [Int32](repeating: 32035, count: 9) + [22819]),
    ] as [(String, [Int32])])
  func published(text: String, expected: [Int32]) {
    #expect(tokenizer.ids(of: text) == expected)
  }

  @Test func asTransformersDoes() throws {
    let golden = try JSONDecoder().decode(TokenGolden.self, from: Goldens.data("prompts/tokens.json"))
    #expect(golden.texts.count > 1000)
    for text in golden.texts {
      let ids = tokenizer.ids(of: text.text)
      #expect(ids == text.ids, "scalars \(hexadecimal(text.text)), seed \(golden.seed)")
    }
  }

  @Test func wordsOfAnyLength() {
    #expect(tokenizer.ids(of: String(repeating: "ab", count: 5000)).count > 100)
    #expect(tokenizer.ids(of: "") == [])
    #expect(tokenizer.ids(of: " \n\t") == [])
  }

  @Test("One word made of thousands, and thousands of marks on one letter, take no time", .timeLimit(.minutes(1)))
  func longPieces() throws {
    let merges = try Data(contentsOf: URL(filePath: Goldens.example("Toybox/model/tokenizer/merges.txt")))
    let letters = merges.filter { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }.suffix(1 << 16)
    #expect(tokenizer.ids(of: String(decoding: letters, as: UTF8.self)).count > 1000)
    let above = String(repeating: "\u{301}", count: 1 << 14), below = String(repeating: "\u{323}", count: 1 << 14)
    #expect(tokenizer.ids(of: "a" + above + below) == tokenizer.ids(of: "a" + below + above))
  }
}
