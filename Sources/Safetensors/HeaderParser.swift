import Tensors

/// What the header says of one tensor, before its place in the file is checked.
struct HeaderEntry {
  var name: String
  var dtype: DType
  var extents: [Int]
  var begin: Int
  var end: Int
}

/// Reads the JSON header of a safetensors file.
///
/// A parser of its own rather than a general one: it must tell duplicate names (which general parsers merge in
/// silence), and open a file of thousands of tensors in a few milliseconds.
struct HeaderParser {
  private(set) var entries: [HeaderEntry] = []
  private(set) var metadata: [(key: String, value: String)] = []
  /// Oddities that are allowed, in words.
  private(set) var warnings: [String] = []

  private let text: UnsafeRawBufferPointer
  private let path: String
  private var position = 0
  private var seenMetadata = false

  /// - Throws: `SafetensorsError` (`headerText`, `entry`, `metadata`) naming the first fault.
  static func parse(_ text: UnsafeRawBufferPointer, path: String) throws(SafetensorsError) -> HeaderParser {
    var parser = HeaderParser(text: text, path: path)
    try parser.parseHeader()
    return parser
  }

  /// More than any model has. Each takes memory, in a header of a few bytes for each.
  private static let mostEntries = 1 << 18
  /// In bytes; names are looked at again and again.
  private static let longestName = 4096
  /// As many as torch and NumPy know.
  private static let mostExtents = 64

  private init(text: UnsafeRawBufferPointer, path: String) {
    self.text = text
    self.path = path
  }

  private mutating func parseHeader() throws(SafetensorsError) {
    guard isUTF8 else { throw fault("the text is not UTF-8") }
    if text.first != UInt8(ascii: "{") { warnings.append("the header does not begin with {") }
    try parseObject { (parser, key) throws(SafetensorsError) in
      if key == "__metadata__" { try parser.parseMetadata() } else { try parser.parseEntry(named: key) }
    }
    skipSpace()
    guard position == text.count else { throw fault("expected the end of the header, found more text") }
  }

  /// Looked at in parts: the standard library copies what it validates, and a header may be large.
  private var isUTF8: Bool {
    var start = 0
    while start < text.count {
      var end = min(start + 65_536, text.count)
      // Not in the middle of a character.
      while end < text.count, end > start, text[end] & 0xc0 == 0x80 { end -= 1 }
      guard end > start, String(validating: text[start..<end], as: UTF8.self) != nil else { return false }
      start = end
    }
    return true
  }

  private mutating func parseMetadata() throws(SafetensorsError) {
    guard !seenMetadata else { throw SafetensorsError(.metadata(reason: "expected one entry, found two"), path: path) }
    seenMetadata = true
    skipSpace()
    if take("null") { return }
    guard peek() == UInt8(ascii: "{") else {
      throw SafetensorsError(.metadata(reason: "expected an object of strings"), path: path)
    }
    var places: [String: Int] = [:]
    try parseObject { (parser, key) throws(SafetensorsError) in
      parser.skipSpace()
      guard parser.peek() == UInt8(ascii: "\"") else {
        throw SafetensorsError(.metadata(reason: "\(key): expected a string"), path: parser.path)
      }
      let value = try parser.parseString()
      if let place = places[key] {
        parser.warnings.append("metadata key \(key) occurs twice; the last value counts")
        parser.metadata[place].value = value
      } else {
        places[key] = parser.metadata.count
        parser.metadata.append((key, value))
      }
    }
  }

  private mutating func parseEntry(named name: String) throws(SafetensorsError) {
    guard name.utf8.count <= Self.longestName else {
      throw fault("expected a name of at most \(Self.longestName) bytes, found one of \(name.utf8.count)")
    }
    var dtype: DType?, extents: [Int]?, offsets: [Int]?
    skipSpace()
    guard peek() == UInt8(ascii: "{") else {
      throw entryFault(name, "expected an object with dtype, shape and data_offsets")
    }
    try parseObject { (parser, field) throws(SafetensorsError) in
      parser.skipSpace()
      let isRepeated =
        field == "dtype" ? dtype != nil : field == "shape" ? extents != nil : field == "data_offsets" && offsets != nil
      guard !isRepeated else { throw parser.entryFault(name, "\(field): expected one field, found two") }
      switch field {
      case "dtype":
        guard parser.peek() == UInt8(ascii: "\"") else { throw parser.entryFault(name, "dtype: expected a string") }
        let text = try parser.parseString()
        guard let known = DType(rawValue: text) else {
          throw parser.entryFault(name, "dtype: expected a known format, found \(text)")
        }
        dtype = known
      case "shape": extents = try parser.parseExtents(of: name, field: field)
      case "data_offsets": offsets = try parser.parseExtents(of: name, field: field)
      default: try parser.skipValue(depth: 0)
      }
    }
    guard let dtype else { throw entryFault(name, "expected a dtype, found none") }
    guard let extents else { throw entryFault(name, "expected a shape, found none") }
    guard let offsets, offsets.count == 2 else { throw entryFault(name, "data_offsets: expected two numbers") }
    guard entries.count < Self.mostEntries else {
      throw fault("expected at most \(Self.mostEntries) tensors, found more")
    }
    entries.append(HeaderEntry(name: name, dtype: dtype, extents: extents, begin: offsets[0], end: offsets[1]))
  }

  /// An array of whole, non-negative numbers.
  private mutating func parseExtents(of name: String, field: String) throws(SafetensorsError) -> [Int] {
    let problem = "\(field): expected a list of whole numbers that are not negative"
    var result: [Int] = []
    guard take("[") else { throw entryFault(name, problem) }
    skipSpace()
    if take("]") { return result }
    while true {
      skipSpace()
      let start = position
      var value = 0
      while let digit = peek(), digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") {
        let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, overflowToo) = tens.addingReportingOverflow(Int(digit - UInt8(ascii: "0")))
        guard !overflow, !overflowToo else { throw entryFault(name, "\(field): the number is too large") }
        value = sum
        position += 1
      }
      let hasLeadingZero = position - start > 1 && text[start] == UInt8(ascii: "0")
      guard position > start, !hasLeadingZero else { throw entryFault(name, problem) }
      guard result.count < Self.mostExtents else {
        throw entryFault(name, "\(field): expected at most \(Self.mostExtents) numbers, found more")
      }
      result.append(value)
      skipSpace()
      if take("]") { return result }
      guard take(",") else { throw entryFault(name, problem) }
    }
  }
}

// MARK: - JSON

extension HeaderParser {
  private mutating func parseObject(
    member: (inout HeaderParser, String) throws(SafetensorsError) -> Void
  ) throws(SafetensorsError) {
    skipSpace()
    guard take("{") else { throw fault("expected {") }
    skipSpace()
    if take("}") { return }
    while true {
      skipSpace()
      let key = try parseString()
      skipSpace()
      guard take(":") else { throw fault("expected : after \"\(key)\"") }
      try member(&self, key)
      skipSpace()
      if take("}") { return }
      guard take(",") else { throw fault("expected , or }") }
    }
  }

  private mutating func parseString() throws(SafetensorsError) -> String {
    guard take("\"") else { throw fault("expected a string") }
    let start = position
    while let byte = peek(), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
    var bytes = Array(text[start..<position])
    while true {
      guard let byte = peek() else { throw fault("expected the end of a string, found the end of the header") }
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"): bytes.append(contentsOf: try parseEscape())
      case 0..<0x20: throw fault("expected a string without control characters")
      default: bytes.append(byte)
      }
    }
  }

  private mutating func parseEscape() throws(SafetensorsError) -> [UInt8] {
    guard let byte = peek() else { throw fault("expected an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      let first = try parseHexadecimal()
      guard first & 0xf800 == 0xd800 else { return Array(String(Unicode.Scalar(first)!).utf8) }
      guard first < 0xdc00, take("\\u") else { throw fault("expected a pair of surrogates") }
      let second = try parseHexadecimal()
      guard second & 0xfc00 == 0xdc00 else { throw fault("expected a pair of surrogates") }
      return Array(String(Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))!).utf8)
    default: throw fault("unknown escape")
    }
  }

  private mutating func parseHexadecimal() throws(SafetensorsError) -> UInt32 {
    guard position + 4 <= text.count,
      let digits = String(validating: text[position..<position + 4], as: UTF8.self), digits.allSatisfy(\.isHexDigit),
      let value = UInt32(digits, radix: 16)
    else { throw fault("expected four hexadecimal digits") }
    position += 4
    return value
  }

  /// Reads over a value of an unknown field.
  private mutating func skipValue(depth: Int) throws(SafetensorsError) {
    guard depth < 64 else { throw fault("values nested too deeply") }
    skipSpace()
    switch peek() {
    case UInt8(ascii: "\""): _ = try parseString()
    case UInt8(ascii: "{"):
      try parseObject { (parser, _) throws(SafetensorsError) in try parser.skipValue(depth: depth + 1) }
    case UInt8(ascii: "["):
      position += 1
      skipSpace()
      if take("]") { return }
      repeat {
        try skipValue(depth: depth + 1)
        skipSpace()
      } while take(",")
      guard take("]") else { throw fault("expected , or ]") }
    default:
      if take("true") || take("false") || take("null") { return }
      guard takeNumber() else { throw fault("expected a value") }
    }
  }

  /// A number in JSON's grammar, which knows no plus sign and no leading zeros before other digits.
  private mutating func takeNumber() -> Bool {
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
    while let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    return position > start
  }

  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
  }

  private func peek() -> UInt8? { position < text.count ? text[position] : nil }

  private mutating func take(_ token: StaticString) -> Bool {
    let end = position + token.utf8CodeUnitCount
    guard end <= text.count else { return false }
    for i in 0..<token.utf8CodeUnitCount where text[position + i] != token.utf8Start[i] { return false }
    position = end
    return true
  }

  private func fault(_ reason: String) -> SafetensorsError {
    SafetensorsError(.headerText(reason: reason, offset: 8 + position), path: path)
  }

  private func entryFault(_ tensor: String, _ reason: String) -> SafetensorsError {
    SafetensorsError(.entry(tensor: tensor, reason: reason), path: path)
  }
}
