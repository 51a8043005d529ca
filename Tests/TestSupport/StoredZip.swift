/// A zip archive put together by hand, without compression; sizes may be told wrong.
public struct StoredZip {
  public struct Entry {
    public var name: String
    public var contents: [UInt8]
    /// What the directory says of the unpacked size; the truth when `nil`.
    public var declaredSize: UInt32?
    /// What the archive says of the checksum; the truth when `nil`.
    public var declaredChecksum: UInt32?
    /// 0 = stored; 8 = deflated.
    public var method: UInt16 = 0
    /// Whether the directory has the sizes and the place in 64 bits.
    public var isWide = false

    public init(name: String, contents: [UInt8]) { (self.name, self.contents) = (name, contents) }
  }

  public var entries: [Entry]

  public init(entries: [Entry]) { self.entries = entries }

  public var bytes: [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
      let offset = file.count
      let name = Array(entry.name.utf8)
      // Version, flags, method, time, date, checksum, sizes, length of the name, length of the extra field.
      func common(_ packed: UInt32, _ size: UInt32, extra: [UInt8]) -> [UInt8] {
        Self.two(20) + Self.two(0) + Self.two(entry.method) + Self.two(0) + Self.two(0x21)
          + Self.four(entry.declaredChecksum ?? Self.crc(entry.contents)) + Self.four(packed) + Self.four(size)
          + Self.two(UInt16(name.count))
          + Self.two(UInt16(extra.count))
      }
      let packed = UInt32(entry.contents.count), size = entry.declaredSize ?? packed
      file += Self.four(0x0403_4b50) + common(packed, size, extra: []) + name + entry.contents
      let wide = [UInt64(size), UInt64(packed), UInt64(offset)].flatMap {
        withUnsafeBytes(of: $0.littleEndian, Array.init)
      }
      let extra = entry.isWide ? Self.two(1) + Self.two(24) + wide : []
      directory += Self.four(0x0201_4b50) + Self.two(20)
      directory += common(entry.isWide ? .max : packed, entry.isWide ? .max : size, extra: extra)
      directory += Self.two(0) + Self.two(0) + Self.two(0) + Self.four(0)
      directory += Self.four(entry.isWide ? .max : UInt32(offset)) + name + extra
    }
    let count = Self.two(UInt16(entries.count))
    return file + directory + Self.four(0x0605_4b50) + Self.two(0) + Self.two(0) + count + count
      + Self.four(UInt32(directory.count)) + Self.four(UInt32(file.count)) + Self.two(0)
  }

  private static func two(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8)] }
  public static func four(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * UInt32($0)) & 0xff) } }

  static func crc(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
    }
    return ~crc
  }
}
