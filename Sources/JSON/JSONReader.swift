/// Reads JSON (RFC 8259) from strangers: in one pass, with limits on what the text may ask for.
///
/// A reader of its own: Foundation's takes seconds for a few hundred brackets in each other, keeps the first of two equal
/// names in silence (Python keeps the last), and accepts commas before the end.
struct JSONReader {
  /// Why a text was refused.
  struct Fault: Error {
    /// `nil` for what is no JSON at all.
    var reason: String?
  }

  private var cursor: JSONCursor
  private var count = 0

  /// Indices of the largest models have a tenth of this.
  private static let mostValues = 1 << 20
  private static let deepest = 64

  static func value(_ text: some StringProtocol) throws(Fault) -> JSONValue {
    guard text.utf8.count <= JSONValue.mostBytes else {
      throw Fault(reason: "expected at most \(JSONValue.mostBytes) bytes, found \(text.utf8.count)")
    }
    return try Array(text.utf8).withUnsafeBytes { bytes in
      Result { () throws(Fault) in try value(in: bytes) }
    }.get()
  }

  private static func value(in text: UnsafeRawBufferPointer) throws(Fault) -> JSONValue {
    var reader = JSONReader(cursor: JSONCursor(text, called: "text"))
    if text.starts(with: [0xef, 0xbb, 0xbf]) { reader.cursor.position = 3 }
    let value = try reader.value(depth: 0)
    reader.cursor.skipSpace()
    guard reader.cursor.isAtEnd else { throw Fault() }
    return value
  }

  private init(cursor: JSONCursor) { self.cursor = cursor }

  private mutating func value(depth: Int) throws(Fault) -> JSONValue {
    count += 1
    guard depth <= Self.deepest, count <= Self.mostValues else {
      throw Fault(reason: "expected at most \(Self.mostValues) values, and \(Self.deepest) in each other, found more")
    }
    cursor.skipSpace()
    switch cursor.next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    default: break
    }
    if cursor.take("true") { return .bool(true) }
    if cursor.take("false") { return .bool(false) }
    return cursor.take("null") ? .null : try number()
  }

  private mutating func object(depth: Int) throws(Fault) -> JSONValue {
    var fields: [String: JSONValue] = [:]
    cursor.position += 1
    cursor.skipSpace()
    if cursor.take("}") { return .object(fields) }
    repeat {
      cursor.skipSpace()
      let name = try string()
      cursor.skipSpace()
      guard cursor.take(":") else { throw Fault() }
      guard fields.updateValue(try value(depth: depth + 1), forKey: name) == nil else {
        throw Fault(reason: "expected each name once, found \(name) twice")
      }
      cursor.skipSpace()
    } while cursor.take(",")
    guard cursor.take("}") else { throw Fault() }
    return .object(fields)
  }

  private mutating func array(depth: Int) throws(Fault) -> JSONValue {
    var items: [JSONValue] = []
    cursor.position += 1
    cursor.skipSpace()
    if cursor.take("]") { return .array(items) }
    repeat {
      items.append(try value(depth: depth + 1))
      cursor.skipSpace()
    } while cursor.take(",")
    guard cursor.take("]") else { throw Fault() }
    return .array(items)
  }

  private mutating func number() throws(Fault) -> JSONValue {
    let start = cursor.position
    guard cursor.takeNumber() else { throw Fault() }
    let digits = String(decoding: cursor.text[start..<cursor.position], as: UTF8.self)
    if let whole = Int(digits) { return .int(whole) }
    if let whole = UInt64(digits) { return .unsigned(whole) }
    guard let number = Double(digits), number.isFinite else { throw Fault(reason: "expected a finite number") }
    return Int(exactly: number).map { .int($0) } ?? .number(number)
  }

  private mutating func string() throws(Fault) -> String {
    do throws(JSONCursor.Fault) { return try cursor.string() } catch { throw Fault() }
  }
}
