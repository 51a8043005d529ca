/// The chunks of a PNG file, taken apart by the specification without the help of libpng.
struct PNGChunks {
  struct Chunk: Equatable {
    let name: String
    let data: [UInt8]
  }

  static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
  var chunks: [Chunk] = []

  init(chunks: [Chunk]) { self.chunks = chunks }

  /// `nil` where a length or a checksum is wrong.
  init?(_ bytes: [UInt8]) {
    guard bytes.starts(with: Self.signature) else { return nil }
    var place = 8
    while place < bytes.count {
      guard place + 12 <= bytes.count else { return nil }
      let length = Int(Self.number(bytes[place..<place + 4]))
      guard place + 12 + length <= bytes.count else { return nil }
      let body = bytes[place + 4..<place + 8 + length]
      guard Self.checksum(body) == Self.number(bytes[place + 8 + length..<place + 12 + length]) else { return nil }
      chunks.append(Chunk(name: String(decoding: body.prefix(4), as: UTF8.self), data: Array(body.dropFirst(4))))
      place += 12 + length
    }
  }

  var bytes: [UInt8] {
    Self.signature
      + chunks.flatMap { chunk in
        let body = Array(chunk.name.utf8) + chunk.data
        return Self.four(UInt32(chunk.data.count)) + body + Self.four(Self.checksum(body[...]))
      }
  }

  static func four(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) } }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

  /// CRC-32 of the specification's annex D, bit by bit.
  private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
    }
  }
}
