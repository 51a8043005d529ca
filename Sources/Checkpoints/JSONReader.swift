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

  private let text: [UInt8]
  private var place = 0
  private var count = 0

  /// Indices of the largest models have a tenth of this.
  private static let mostValues = 1 << 20
  private static let deepest = 64

  static func value(_ text: some StringProtocol) throws(Fault) -> JSONValue {
    guard text.utf8.count <= JSONValue.mostBytes else {
      throw Fault(reason: "expected at most \(JSONValue.mostBytes) bytes, found \(text.utf8.count)")
    }
    var reader = JSONReader(text: Array(text.utf8))
    if reader.text.starts(with: [0xef, 0xbb, 0xbf]) { reader.place = 3 }
    let value = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.place == reader.text.count else { throw Fault() }
    return value
  }

  private init(text: [UInt8]) { self.text = text }

  private mutating func value(depth: Int) throws(Fault) -> JSONValue {
    count += 1
    guard depth <= Self.deepest, count <= Self.mostValues else {
      throw Fault(reason: "expected at most \(Self.mostValues) values, and \(Self.deepest) in each other, found more")
    }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    default: break
    }
    if take("true") { return .bool(true) }
    if take("false") { return .bool(false) }
    return take("null") ? .null : try number()
  }

  private mutating func object(depth: Int) throws(Fault) -> JSONValue {
    var fields: [String: JSONValue] = [:]
    place += 1
    skipSpace()
    if take("}") { return .object(fields) }
    repeat {
      skipSpace()
      let name = try string()
      skipSpace()
      guard take(":") else { throw Fault() }
      guard fields.updateValue(try value(depth: depth + 1), forKey: name) == nil else {
        throw Fault(reason: "expected each name once, found \(name) twice")
      }
      skipSpace()
    } while take(",")
    guard take("}") else { throw Fault() }
    return .object(fields)
  }

  private mutating func array(depth: Int) throws(Fault) -> JSONValue {
    var items: [JSONValue] = []
    place += 1
    skipSpace()
    if take("]") { return .array(items) }
    repeat {
      items.append(try value(depth: depth + 1))
      skipSpace()
    } while take(",")
    guard take("]") else { throw Fault() }
    return .array(items)
  }

  private mutating func number() throws(Fault) -> JSONValue {
    let start = place
    _ = take("-")
    guard take("0") || takeDigits() else { throw Fault() }
    if take(".") { guard takeDigits() else { throw Fault() } }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      guard takeDigits() else { throw Fault() }
    }
    let digits = String(decoding: text[start..<place], as: UTF8.self)
    if let whole = Int(digits) { return .int(whole) }
    guard let number = Double(digits), number.isFinite else { throw Fault(reason: "expected a finite number") }
    return Int(exactly: number).map { .int($0) } ?? .number(number)
  }

  private mutating func takeDigits() -> Bool {
    let start = place
    while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { place += 1 }
    return place > start
  }

  private mutating func string() throws(Fault) -> String {
    guard take("\"") else { throw Fault() }
    var bytes: [UInt8] = []
    while let byte = next {
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"): bytes += try escape()
      case 0..<0x20: throw Fault()
      default: bytes.append(byte)
      }
    }
    throw Fault()
  }

  private mutating func escape() throws(Fault) -> [UInt8] {
    guard let byte = next else { throw Fault() }
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      // Half of a pair of surrogates.
      if code & 0xfc00 == 0xd800, take("\\u") {
        let second = try hexadecimal()
        guard second & 0xfc00 == 0xdc00 else { throw Fault() }
        code = 0x10000 + (code - 0xd800) << 10 + (second - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw Fault() }
      return Array(String(scalar).utf8)
    default: throw Fault()
    }
  }

  private mutating func hexadecimal() throws(Fault) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = next.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else { throw Fault() }
      value = value << 4 + UInt32(digit)
      place += 1
    }
    return value
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { place += 1 }
  }

  private var next: UInt8? { place < text.count ? text[place] : nil }

  private mutating func take(_ token: StaticString) -> Bool {
    let end = place + token.utf8CodeUnitCount
    guard end <= text.count else { return false }
    for i in 0..<token.utf8CodeUnitCount where text[place + i] != token.utf8Start[i] { return false }
    place = end
    return true
  }
}
