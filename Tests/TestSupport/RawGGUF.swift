/// The bytes of a GGUF file put together by hand, which may lie anywhere.
public struct RawGGUF {
  /// A tensor as the header has it.
  public struct Listing {
    public var name: String
    /// ggml's order: a row's extent first.
    public var extents: [UInt64]
    public var format: UInt32
    public var bytes: [UInt8]
    /// What the header says instead of the truth.
    public var offset: UInt64?

    public init(_ name: String, _ extents: [UInt64], format: UInt32 = 0, bytes: [UInt8], offset: UInt64? = nil) {
      (self.name, self.extents, self.format, self.bytes, self.offset) = (name, extents, format, bytes, offset)
    }
  }

  public var version: UInt32 = 3
  /// Keys and their values, each with its type in front.
  public var fields: [(key: String, value: [UInt8])] = []
  public var listings: [Listing] = []
  public var alignment = 32
  /// What the header says instead of the truth.
  public var tensorCount: UInt64?
  public var fieldCount: UInt64?

  public init() {}

  public static func little<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
  }
  public static func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
  /// A value of type string.
  public static func string(_ value: String) -> [UInt8] { little(UInt32(8)) + text(value) }
  /// A value of type u32.
  public static func number(_ value: UInt32) -> [UInt8] { little(UInt32(4)) + little(value) }
  /// A value of type array of i32.
  public static func integers(_ values: [Int32]) -> [UInt8] {
    little(UInt32(9)) + little(UInt32(5)) + little(UInt64(values.count)) + values.flatMap { little($0) }
  }

  public var bytes: [UInt8] {
    var file = Array("GGUF".utf8) + Self.little(version)
    file += Self.little(tensorCount ?? UInt64(listings.count)) + Self.little(fieldCount ?? UInt64(fields.count))
    for field in fields { file += Self.text(field.key) + field.value }
    var offset = 0
    for listing in listings {
      file += Self.text(listing.name) + Self.little(UInt32(listing.extents.count))
      file += listing.extents.flatMap { Self.little($0) }
      file += Self.little(listing.format) + Self.little(listing.offset ?? UInt64(offset))
      offset += padded(listing.bytes.count)
    }
    file += [UInt8](repeating: 0, count: padded(file.count) - file.count)
    for listing in listings {
      file += listing.bytes + [UInt8](repeating: 0, count: padded(listing.bytes.count) - listing.bytes.count)
    }
    return file
  }

  private func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }
}
