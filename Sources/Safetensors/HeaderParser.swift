import JSON
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

  private var cursor: JSONCursor
  private let path: String
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
    cursor = JSONCursor(text, called: "header")
    self.path = path
  }

  private mutating func parseHeader() throws(SafetensorsError) {
    guard isUTF8 else { throw fault("the text is not UTF-8") }
    if cursor.text.first != UInt8(ascii: "{") { warnings.append("the header does not begin with {") }
    try parseObject { (parser, key) throws(SafetensorsError) in
      if key == "__metadata__" { try parser.parseMetadata() } else { try parser.parseEntry(named: key) }
    }
    cursor.skipSpace()
    guard cursor.isAtEnd else { throw fault("expected the end of the header, found more text") }
  }

  /// Looked at in parts: the standard library copies what it validates, and a header may be large.
  private var isUTF8: Bool {
    let text = cursor.text
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
    cursor.skipSpace()
    if cursor.take("null") { return }
    guard cursor.next == UInt8(ascii: "{") else {
      throw SafetensorsError(.metadata(reason: "expected an object of strings"), path: path)
    }
    var places: [String: Int] = [:]
    try parseObject { (parser, key) throws(SafetensorsError) in
      parser.cursor.skipSpace()
      guard parser.cursor.next == UInt8(ascii: "\"") else {
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
    cursor.skipSpace()
    guard cursor.next == UInt8(ascii: "{") else {
      throw entryFault(name, "expected an object with dtype, shape and data_offsets")
    }
    try parseObject { (parser, field) throws(SafetensorsError) in
      parser.cursor.skipSpace()
      let isRepeated =
        field == "dtype" ? dtype != nil : field == "shape" ? extents != nil : field == "data_offsets" && offsets != nil
      guard !isRepeated else { throw parser.entryFault(name, "\(field): expected one field, found two") }
      switch field {
      case "dtype":
        guard parser.cursor.next == UInt8(ascii: "\"") else {
          throw parser.entryFault(name, "dtype: expected a string")
        }
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
    guard cursor.take("[") else { throw entryFault(name, problem) }
    cursor.skipSpace()
    if cursor.take("]") { return result }
    while true {
      cursor.skipSpace()
      let start = cursor.position
      var value = 0
      while let digit = cursor.next, digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") {
        let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, overflowToo) = tens.addingReportingOverflow(Int(digit - UInt8(ascii: "0")))
        guard !overflow, !overflowToo else { throw entryFault(name, "\(field): the number is too large") }
        value = sum
        cursor.position += 1
      }
      let hasLeadingZero = cursor.position - start > 1 && cursor.text[start] == UInt8(ascii: "0")
      guard cursor.position > start, !hasLeadingZero else { throw entryFault(name, problem) }
      guard result.count < Self.mostExtents else {
        throw entryFault(name, "\(field): expected at most \(Self.mostExtents) numbers, found more")
      }
      result.append(value)
      cursor.skipSpace()
      if cursor.take("]") { return result }
      guard cursor.take(",") else { throw entryFault(name, problem) }
    }
  }
}

// MARK: - JSON

extension HeaderParser {
  private mutating func parseObject(
    member: (inout HeaderParser, String) throws(SafetensorsError) -> Void
  ) throws(SafetensorsError) {
    cursor.skipSpace()
    guard cursor.take("{") else { throw fault("expected {") }
    cursor.skipSpace()
    if cursor.take("}") { return }
    while true {
      cursor.skipSpace()
      let key = try parseString()
      cursor.skipSpace()
      guard cursor.take(":") else { throw fault("expected : after \"\(key)\"") }
      try member(&self, key)
      cursor.skipSpace()
      if cursor.take("}") { return }
      guard cursor.take(",") else { throw fault("expected , or }") }
    }
  }

  private mutating func parseString() throws(SafetensorsError) -> String {
    do throws(JSONCursor.Fault) { return try cursor.string() } catch { throw fault(error.reason) }
  }

  /// Reads over a value of an unknown field.
  private mutating func skipValue(depth: Int) throws(SafetensorsError) {
    guard depth < 64 else { throw fault("values nested too deeply") }
    cursor.skipSpace()
    switch cursor.next {
    case UInt8(ascii: "\""): _ = try parseString()
    case UInt8(ascii: "{"):
      try parseObject { (parser, _) throws(SafetensorsError) in try parser.skipValue(depth: depth + 1) }
    case UInt8(ascii: "["):
      cursor.position += 1
      cursor.skipSpace()
      if cursor.take("]") { return }
      repeat {
        try skipValue(depth: depth + 1)
        cursor.skipSpace()
      } while cursor.take(",")
      guard cursor.take("]") else { throw fault("expected , or ]") }
    default:
      if cursor.take("true") || cursor.take("false") || cursor.take("null") { return }
      guard cursor.takeNumber() else { throw fault("expected a value") }
    }
  }

  private func fault(_ reason: String) -> SafetensorsError {
    SafetensorsError(.headerText(reason: reason, offset: 8 + cursor.position), path: path)
  }

  private func entryFault(_ tensor: String, _ reason: String) -> SafetensorsError {
    SafetensorsError(.entry(tensor: tensor, reason: reason), path: path)
  }
}
