import FoundationEssentials
import Images
import TestSupport
import Testing

@Suite struct PNGReadingTests {
  private let picture = ImagesTests.picture(width: 12, height: 9, seed: 5)

  /// The error of reading these bytes.
  private func refusal(_ bytes: [UInt8]) -> ImageError? {
    #expect(throws: ImageError.self) { try PNGPicture(bytes) }
  }

  @Test("every form of PNG has the pixels and texts that were put into it", arguments: ImagesGolden.shared.pngs)
  func forms(file: ImagesGolden.File) throws {
    let found = try PNGPicture(path: Goldens.path("images/png/\(file.file)"))
    #expect(found.image.width == file.width && found.image.height == file.height)
    #expect(found.image.bytes.elementsEqual(file.rgb))
    #expect(found.texts == file.texts.map { PNGText(keyword: $0.keyword, text: $0.text) })
    #expect(try PNGPicture(file.data).image == found.image)
  }

  @Test("no form is missing")
  func allForms() { #expect(ImagesGolden.shared.pngs.count == 56) }

  @Test("a file cut off anywhere is refused with the reason", arguments: ["texts.png", "rgba-16-interlaced.png"])
  func cutOff(name: String) throws {
    let file = try #require(ImagesGolden.shared.pngs.first { $0.file == name })
    var whole = try file.data
    if name == "texts.png" { whole.removeLast("bytes behind the end".utf8.count) }
    #expect(throws: Never.self) { try PNGPicture(whole) }
    for count in 0..<whole.count {
      let error = try #require(refusal(Array(whole.prefix(count))), "\(count) bytes")
      switch count {
      case 0: #expect(error.kind == .notPNG(found: "an empty file"))
      case 1..<4: #expect(error.message.hasPrefix("content: expected a PNG picture, found a file that begins with"))
      case 4..<8:
        #expect(error.kind == .notPNG(found: "its first \(count) bytes only; hint: the file is cut off"))
      default: #expect(error.kind == .cutOff(bytes: count))
      }
    }
  }

  @Test(
    "a file with one wrong bit anywhere is refused", arguments: ["texts.png", "palette-4-transparent-interlaced.png"])
  func wrongBits(name: String) throws {
    let file = try #require(ImagesGolden.shared.pngs.first { $0.file == name })
    var bytes = try file.data
    let end = name == "texts.png" ? bytes.count - "bytes behind the end".utf8.count : bytes.count
    for place in 0..<end {
      for bit in 0..<8 {
        bytes[place] ^= 1 << UInt8(bit)
        #expect(throws: ImageError.self, "bit \(bit) of byte \(place)") { try PNGPicture(bytes) }
        bytes[place] ^= 1 << UInt8(bit)
      }
    }
  }

  @Test("chunks with any contents and right checksums are a picture or an error, and nothing else")
  func anything() throws {
    let seed = UInt64.random(in: 0..<(.max))
    var generator = SplitMix64(seed: seed)
    let whole = try ImagesGolden.shared.pngs.compactMap { PNGChunks(try $0.data) }
    var errors = 0
    for _ in 0..<3000 {
      var file = whole[generator.below(whole.count)]
      for _ in 0...generator.below(3) {
        let place = generator.below(file.chunks.count)
        let chunk = file.chunks[place]
        var data = chunk.data
        switch generator.below(5) {
        case 0 where !data.isEmpty: data[generator.below(data.count)] = UInt8(generator.below(256))
        case 1: data = Array(data.prefix(generator.below(data.count + 1)))
        case 2: data += (0...generator.below(9)).map { _ in UInt8(generator.below(256)) }
        case 3: file.chunks.insert(chunk, at: generator.below(file.chunks.count))
        default: file.chunks.swapAt(place, generator.below(file.chunks.count))
        }
        if file.chunks[place] == chunk { file.chunks[place] = PNGChunks.Chunk(name: chunk.name, data: data) }
      }
      do { _ = try PNGPicture(file.bytes) } catch { errors += 1 }
    }
    #expect(errors > 1000, "seed \(seed)")
  }

  @Test("a wrong checksum names its chunk")
  func checksum() throws {
    var bytes = try picture.pngData(texts: [.parameters("abc")])
    bytes[43] ^= 1
    #expect(
      refusal(bytes)?.description
        == "tEXt: checksum: expected that of the data, found another; hint: the file is damaged")
  }

  @Test(
    "another kind of file is named",
    arguments: [
      ([0xff, 0xd8, 0xff, 0xe0, 0, 0x10, 0x4a, 0x46, 0x49, 0x46], "a JPEG picture; hint: convert it to PNG first"),
      (Array("GIF89a".utf8), "a GIF picture; hint: convert it to PNG first"),
      (Array("RIFF".utf8) + [1, 2, 3, 4] + Array("WEBPVP8 ".utf8), "a WebP picture; hint: convert it to PNG first"),
      ([0, 0, 0, 0x20] + Array("ftypavif".utf8), "an AVIF picture; hint: convert it to PNG first"),
      (Array("BM6".utf8), "a BMP picture; hint: convert it to PNG first"),
      (Array("II*\0".utf8), "a TIFF picture; hint: convert it to PNG first"),
      (
        Array("\n<!DOCTYPE html>".utf8), "a web page or another text with markup; hint: download the picture itself"
      ),
      (
        [0x89, 0x50, 0x4e, 0x47, 0x0a, 0x1a, 0x0a, 0, 0],
        "one with a damaged beginning; hint: it was probably copied as text, copy it again as a binary file"
      ),
      (Array("PK\u{3}\u{4}".utf8), "a zip archive"), ([], "an empty file"),
      ([0x10, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22], "a file that begins with the bytes 10 00 00 00 00 00 00 00"),
      (
        PNGChunks.signature + [0, 0, 0, 4] + Array("CgBI".utf8),
        "a PNG in Apple's variant for iPhones; hint: convert it to PNG first"
      ),
    ] as [([UInt8], String)])
  func otherKinds(bytes: [UInt8], found: String) {
    #expect(refusal(bytes)?.description == "content: expected a PNG picture, found \(found)")
  }

  @Test("a size that would fill the memory is refused before any is taken")
  func tooLarge() throws {
    var file = try #require(try PNGChunks(picture.pngData()))
    func resized(_ width: UInt32, _ height: UInt32) -> [UInt8] {
      let rest = file.chunks[0].data.dropFirst(8)
      file.chunks[0] = .init(name: "IHDR", data: PNGChunks.four(width) + PNGChunks.four(height) + Array(rest))
      return file.bytes
    }
    #expect(refusal(resized(16384, 8193))?.kind == .tooManyPixels(width: 16384, height: 8193))
    #expect(
      refusal(resized(0x7fff_ffff, 0x7fff_ffff))?.kind
        == .tooManyPixels(width: 2_147_483_647, height: 2_147_483_647))
    #expect(refusal(resized(1, 134_217_729))?.kind == .tooManyPixels(width: 1, height: 134_217_729))
    // Within the limit, but the data of 12x9 pixels do not reach.
    #expect(refusal(resized(8000, 8000))?.message.hasPrefix("content: expected a valid PNG picture") == true)
    #expect(
      refusal(resized(0, 9))?.message
        == "content: expected a valid PNG picture, found a fault: Image width is zero in IHDR; Invalid IHDR data")
  }

  @Test("a text that unpacks to more than 8 MB, or that is not UTF-8, is refused")
  func texts() throws {
    var file = try #require(try PNGChunks(picture.pngData()))
    let invalid = Array("Title\0\0\0\0\0".utf8) + [0x61, 0xff]
    file.chunks.insert(.init(name: "iTXt", data: invalid), at: 1)
    #expect(refusal(file.bytes)?.description == "text Title: expected UTF-8, found other bytes")
    file.chunks[1] = .init(name: "tEXt", data: Array("a\0".utf8) + [UInt8](repeating: 0x62, count: 9 << 20))
    #expect(
      refusal(file.bytes)?.message
        == "content: expected a valid PNG picture, found a fault: tEXt: chunk data is too large")
    file.chunks[1] = .init(name: "tEXt", data: Array("a\0b".utf8))
    file.chunks.insert(contentsOf: Array(repeating: file.chunks[1], count: 100), at: 1)
    #expect(refusal(file.bytes)?.message.hasSuffix("no space in chunk cache") == true)
  }

  @Test("a file that is not there, or is a folder, is named")
  func paths() throws {
    let folder = try TemporaryFolder()
    let missing = #expect(throws: ImageError.self) { try PNGPicture(path: folder.file("a.png")) }
    #expect(missing?.description == "\(folder.file("a.png")): no such file")
    let other = #expect(throws: ImageError.self) { try PNGPicture(path: folder.path) }
    #expect(other?.description == "\(folder.path): is not a regular file")
    let empty = try folder.write([], to: "empty.png")
    let error = #expect(throws: ImageError.self) { try PNGPicture(path: empty) }
    #expect(error?.description == "\(empty): content: expected a PNG picture, found an empty file")
    #expect(try PNGPicture(path: folder.write(picture.pngData(), to: "b.png")).image == picture)
  }
}
