/// What a file seems to be by its first bytes, to tell a user who gave another kind of picture.
struct FileKind {
  /// What the file is, with its article, and what to do; `nil` for a PNG.
  let differenceFromPNG: String?

  private static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

  /// First bytes, where they stand, and what they belong to.
  private static let marks: [(bytes: [UInt8], offset: Int, name: String)] = [
    ([0xff, 0xd8, 0xff], 0, "a JPEG picture"),
    (Array("GIF8".utf8), 0, "a GIF picture"),
    (Array("WEBP".utf8), 8, "a WebP picture"),
    (Array("ftypavif".utf8), 4, "an AVIF picture"),
    (Array("ftyphei".utf8), 4, "an HEIC picture"),
    (Array("ftypmif1".utf8), 4, "an HEIC picture"),
    ([0xff, 0x0a], 0, "a JPEG XL picture"),
    (Array("JXL ".utf8), 4, "a JPEG XL picture"),
    (Array("jP  ".utf8), 4, "a JPEG 2000 picture"),
    (Array("II*\0".utf8), 0, "a TIFF picture"),
    (Array("MM\0*".utf8), 0, "a TIFF picture"),
    (Array("BM".utf8), 0, "a BMP picture"),
    (Array("8BPS".utf8), 0, "a Photoshop picture"),
    (Array("qoif".utf8), 0, "a QOI picture"),
    (Array("#?RADIANCE".utf8), 0, "a Radiance picture"),
    ([0x76, 0x2f, 0x31, 0x01], 0, "an OpenEXR picture"),
    ([0x8a, 0x4d, 0x4e, 0x47], 0, "an MNG animation"),
  ]

  init(_ data: UnsafeBufferPointer<UInt8>) {
    func has(_ bytes: [UInt8], at offset: Int = 0) -> Bool { data.dropFirst(offset).starts(with: bytes) }
    let convert = "; hint: convert it to PNG first"
    if has(Self.signature) {
      differenceFromPNG = has(Array("CgBI".utf8), at: 12) ? "a PNG in Apple's variant for iPhones" + convert : nil
    } else if data.isEmpty {
      differenceFromPNG = "an empty file"
    } else if let mark = Self.marks.first(where: { has($0.bytes, at: $0.offset) }) {
      differenceFromPNG = mark.name + convert
    } else if has(Array("PNG".utf8), at: 1) {
      differenceFromPNG =
        data.count < Self.signature.count
        ? "its first \(data.count) bytes only; hint: the file is cut off"
        : "one with a damaged beginning; hint: it was probably copied as text, copy it again as a binary file"
    } else if let first = data.first(where: { $0 > 0x20 }), first == UInt8(ascii: "<") {
      differenceFromPNG = "a web page or another text with markup; hint: download the picture itself"
    } else if has(Array("%PDF".utf8)) {
      differenceFromPNG = "a PDF document"
    } else if has([0x50, 0x4b, 0x03, 0x04]) {
      differenceFromPNG = "a zip archive"
    } else {
      let shown = data.prefix(8).map { byte in
        let digits = String(byte, radix: 16)
        return digits.count < 2 ? "0" + digits : digits
      }
      differenceFromPNG = "a file that begins with the bytes \(shown.joined(separator: " "))"
    }
  }
}
