/// A zip archive put together by hand, without compression; sizes may be told wrong.
struct StoredZip {
  struct Entry {
    var name: String
    var contents: [UInt8]
    /// What the directory says of the unpacked size; the truth when `nil`.
    var declaredSize: UInt32?
    /// 0 = stored; 8 = deflated.
    var method: UInt16 = 0
  }

  var entries: [Entry]

  var bytes: [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
      let offset = file.count
      let name = Array(entry.name.utf8)
      // Version, flags, method, time, date, checksum, sizes, length of the name, length of the extra field.
      let common =
        Self.two(20) + Self.two(0) + Self.two(entry.method) + Self.two(0) + Self.two(0x21)
        + Self.four(Self.crc(entry.contents))
        + Self.four(UInt32(entry.contents.count)) + Self.four(entry.declaredSize ?? UInt32(entry.contents.count))
        + Self.two(UInt16(name.count)) + Self.two(0)
      file += Self.four(0x0403_4b50) + common + name + entry.contents
      directory += Self.four(0x0201_4b50) + Self.two(20) + common
      directory += Self.two(0) + Self.two(0) + Self.two(0) + Self.four(0) + Self.four(UInt32(offset)) + name
    }
    let count = Self.two(UInt16(entries.count))
    return file + directory + Self.four(0x0605_4b50) + Self.two(0) + Self.two(0) + count + count
      + Self.four(UInt32(directory.count)) + Self.four(UInt32(file.count)) + Self.two(0)
  }

  private static func two(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8)] }
  static func four(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * UInt32($0)) & 0xff) } }

  private static func crc(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    return ~crc
  }
}
