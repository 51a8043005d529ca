/// Reads the numbers and texts of a header one after another, and never beyond its end.
struct GGUFCursor {
  private let bytes: UnsafeRawBufferPointer
  private let path: String
  private(set) var position: Int

  init(_ bytes: UnsafeRawBufferPointer, at position: Int, path: String) {
    (self.bytes, self.position, self.path) = (bytes, position, path)
  }

  /// How many bytes are left.
  var left: Int { bytes.count - position }

  mutating func integer<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ type: Integer.Type = Integer.self
  ) throws(GGUFError) -> Integer {
    let size = MemoryLayout<Integer>.size, start = try skip(size)
    return Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: type))
  }

  /// A number of things each of which takes `size` bytes at least.
  mutating func count(of what: String, size: Int) throws(GGUFError) -> Int {
    let declared = try integer(UInt64.self)
    guard declared <= left / size else {
      throw GGUFError(.count(of: what, declared: declared, possible: left / size), path: path)
    }
    return Int(declared)
  }

  mutating func text(_ what: String) throws(GGUFError) -> String {
    let count = try count(of: what, size: 1), start = try skip(count)
    guard let text = String(validating: bytes[start..<start + count], as: UTF8.self) else {
      throw GGUFError(.header(reason: "\(what): expected UTF-8 text", offset: start), path: path)
    }
    return text
  }

  /// - Returns: where the skipped bytes begin.
  @discardableResult
  mutating func skip(_ count: Int) throws(GGUFError) -> Int {
    guard count <= left else {
      throw GGUFError(
        .header(reason: "expected \(count) bytes, found the end of the file", offset: position), path: path)
    }
    defer { position += count }
    return position
  }

  func fault(_ reason: String) -> GGUFError { GGUFError(.header(reason: reason, offset: position), path: path) }
}
