import Images
import TestSupport
import Testing

@Suite struct PNGWritingTests {
  private let image = picture(width: 31, height: 20, seed: 3)

  @Test("what is written is a plain PNG of the picture, the same each time, with nothing but texts beside it")
  func form() throws {
    let data = try image.pngData(texts: [.parameters("Steps: 20")])
    #expect(try image.pngData(texts: [.parameters("Steps: 20")]) == data)
    let chunks = try #require(PNGChunks(data)).chunks
    #expect(chunks.map(\.name) == ["IHDR", "tEXt", "IDAT", "IEND"])
    #expect(chunks[0].data == [0, 0, 0, 31, 0, 0, 0, 20, 8, 2, 0, 0, 0])
    #expect(chunks[1].data == Array("parameters\0Steps: 20".utf8))
    #expect(try PNGPicture(data).image == image)
  }

  @Test("a picture of any size comes back", arguments: [(1, 1), (1, 300), (1000, 1), (257, 129)])
  func sizes(width: Int, height: Int) throws {
    let image = picture(width: width, height: height, seed: 4)
    #expect(try PNGPicture(image.pngData()).image == image)
  }

  @Test(
    "a text is tEXt where Latin-1 can hold it and iTXt otherwise, and comes back",
    arguments: [
      ("", "tEXt"), ("a photo of a caf\u{e9}\nSteps: 20", "tEXt"), ("\u{ff}\u{80}\t\r\n", "tEXt"),
      ("cafe\u{301}", "iTXt"), ("富士山, 🗻", "iTXt"), ("\u{100}", "iTXt"),
    ])
  func texts(text: String, chunk: String) throws {
    let data = try image.pngData(texts: [.parameters(text)])
    let chunks = try #require(PNGChunks(data)).chunks
    #expect(chunks[1].name == chunk)
    let expected =
      chunk == "tEXt"
      ? Array("parameters\0".utf8) + text.unicodeScalars.map { UInt8($0.value) }
      : Array("parameters\0\0\0\0\0".utf8) + Array(text.utf8)
    #expect(chunks[1].data == expected)
    let found = try #require(try PNGPicture(data).parameters)
    // Strings compare by meaning; here the characters themselves must be the same.
    #expect(Array(found.unicodeScalars) == Array(text.unicodeScalars))
  }

  @Test("several texts keep their order and their keywords, Latin-1 ones too")
  func severalTexts() throws {
    let texts = [
      PNGText(keyword: "prompt", text: String(repeating: "long ", count: 40_000)),
      PNGText(keyword: "Größe", text: "富士"), PNGText(keyword: "prompt", text: "again"),
      PNGText(keyword: String(repeating: "k", count: 79), text: "x"),
    ]
    let picture = try PNGPicture(image.pngData(texts: texts))
    #expect(picture.texts == texts)
    #expect(picture.text("prompt") == texts[0].text)
    #expect(picture.parameters == nil)
  }

  @Test(
    "a keyword that PNG does not allow is refused",
    arguments: ["", " a", "a ", "a  b", "a\nb", "富", "a\u{a0}b", "a\u{7f}", String(repeating: "k", count: 80)])
  func keywords(keyword: String) {
    let error = #expect(throws: ImageError.self) { try image.pngData(texts: [PNGText(keyword: keyword, text: "x")]) }
    #expect(error?.kind == .keyword(keyword))
  }

  @Test("a text with a zero character is refused: it would be cut there")
  func zero() {
    let error = #expect(throws: ImageError.self) { try image.pngData(texts: [.parameters("a\0b")]) }
    #expect(error?.kind == .textWithZero(keyword: "parameters"))
    #expect(error?.description == "text parameters: expected no zero character, found one")
  }

  @Test("a picture of more pixels than are read again is refused")
  func tooLarge() {
    let image = RGBImage(width: 1 << 14, height: (1 << 13) + 1, filledWith: .black)
    let error = #expect(throws: ImageError.self) { try image.pngData() }
    #expect(error?.kind == .tooManyPixels(width: 16384, height: 8193))
    #expect(error?.description == "size: expected at most 134217728 pixels, found 16384x8193")
  }
}
