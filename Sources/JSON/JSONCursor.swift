/// A place in a JSON text (RFC 8259), and the tokens that are read there: what readers of strangers' texts have in common.
package struct JSONCursor {
  /// What was expected instead, in words; the position is where it was noticed.
  package struct Fault: Error {
    package let reason: String
  }

  package let text: UnsafeRawBufferPointer
  package var position = 0
  /// What the text is called in messages.
  private let name: String

  package init(_ text: UnsafeRawBufferPointer, called name: String) { (self.text, self.name) = (text, name) }

  package var isAtEnd: Bool { position == text.count }

  /// The next byte; `nil` at the end.
  package var next: UInt8? { position < text.count ? text[position] : nil }

  /// Goes past `token` where it stands next.
  package mutating func take(_ token: StaticString) -> Bool {
    let end = position + token.utf8CodeUnitCount
    guard end <= text.count else { return false }
    for i in 0..<token.utf8CodeUnitCount where text[position + i] != token.utf8Start[i] { return false }
    position = end
    return true
  }

  package mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
  }

  /// A number in JSON's grammar, which knows no plus sign and no leading zeros before other digits.
  package mutating func takeNumber() -> Bool {
    _ = take("-")
    guard take("0") || takeDigits() else { return false }
    if take(".") { guard takeDigits() else { return false } }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      guard takeDigits() else { return false }
    }
    return true
  }

  private mutating func takeDigits() -> Bool {
    let start = position
    while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    return position > start
  }

  // MARK: Strings

  package mutating func string() throws(Fault) -> String {
    guard take("\"") else { throw Fault(reason: "expected a string") }
    let start = position
    while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
    var bytes = Array(text[start..<position])
    while true {
      guard let byte = next else {
        throw Fault(reason: "expected the end of a string, found the end of the \(name)")
      }
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"): bytes.append(contentsOf: try escape())
      case 0..<0x20: throw Fault(reason: "expected a string without control characters")
      default: bytes.append(byte)
      }
    }
  }

  private mutating func escape() throws(Fault) -> [UInt8] {
    guard let byte = next else { throw Fault(reason: "expected an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      let first = try hexadecimal()
      guard first & 0xf800 == 0xd800 else { return Array(String(Unicode.Scalar(first)!).utf8) }
      guard first < 0xdc00, take("\\u") else { throw Fault(reason: "expected a pair of surrogates") }
      let second = try hexadecimal()
      guard second & 0xfc00 == 0xdc00 else { throw Fault(reason: "expected a pair of surrogates") }
      return Array(String(Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))!).utf8)
    default: throw Fault(reason: "unknown escape")
    }
  }

  private mutating func hexadecimal() throws(Fault) -> UInt32 {
    guard position + 4 <= text.count,
      let digits = String(validating: text[position..<position + 4], as: UTF8.self), digits.allSatisfy(\.isHexDigit),
      let value = UInt32(digits, radix: 16)
    else { throw Fault(reason: "expected four hexadecimal digits") }
    position += 4
    return value
  }
}
