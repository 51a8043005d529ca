import FoundationEssentials

extension JSONValue {
  /// How names and numbers of a type are spelled in the text.
  package struct Spelling: Sendable {
    /// Whether `lowerBound` is written `lower_bound`.
    var isSnakeCase = false
    /// Whether numbers that JSON has no words for are written as texts: `NaN`, `Infinity`.
    var hasNotFinite = false

    package static let plain = Spelling()
    package static let report = Spelling(isSnakeCase: true, hasNotFinite: true)
  }

  /// The value as a type of ours.
  ///
  /// Foundation's decoder is for our own texts only: of strangers' it takes too much. This one decodes what `JSONReader`, with its
  /// limits, has read.
  ///
  /// - Throws: `DecodingError`, and what the type's own initialiser throws.
  package func decoded<Value: Decodable>(_ type: Value.Type, spelling: Spelling = .plain) throws -> Value {
    try JSONValueDecoder(value: self, codingPath: [], spelling: spelling).decode(type)
  }
}

/// Gives a type the parts of a JSON value that it asks for.
private struct JSONValueDecoder: Decoder, SingleValueDecodingContainer {
  let value: JSONValue
  let codingPath: [any CodingKey]
  let spelling: JSONValue.Spelling
  /// Whether the names in an object are its own, and no fields of a type.
  var keepsNames = false
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard let fields = value.object else { throw mismatch([String: JSONValue].self) }
    return KeyedDecodingContainer(JSONFields<Key>(fields, decoder: self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard let items = value.array else { throw mismatch([JSONValue].self) }
    return JSONItems(items: items, decoder: self)
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  fileprivate func below(_ value: JSONValue, _ key: any CodingKey) -> JSONValueDecoder {
    JSONValueDecoder(value: value, codingPath: codingPath + [key], spelling: spelling)
  }

  fileprivate func mismatch<Value>(_ type: Value.Type) -> DecodingError {
    DecodingError.typeMismatch(
      type, .init(codingPath: codingPath, debugDescription: "expected \(type), found \(value.compactText.prefix(60))"))
  }

  // MARK: One value

  func decodeNil() -> Bool { value == .null }

  func decode(_ type: Bool.Type) throws -> Bool {
    guard let value = value.bool else { throw mismatch(type) }
    return value
  }

  func decode(_ type: String.Type) throws -> String {
    guard let value = value.string else { throw mismatch(type) }
    return value
  }

  func decode(_ type: Double.Type) throws -> Double {
    if spelling.hasNotFinite, let text = value.string {
      let words = ["NaN": Double.nan, "Infinity": .infinity, "-Infinity": -.infinity]
      if let number = words[text] { return number }
    }
    guard let value = value.double else { throw mismatch(type) }
    return value
  }

  func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }
  func decode(_ type: Int.Type) throws -> Int { try whole(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try whole(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try whole(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try whole(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try whole(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try whole(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try whole(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try whole(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try whole(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try whole(type) }

  private func whole<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
    let number: Value? =
      switch value {
      case .int(let value): Value(exactly: value)
      case .unsigned(let value): Value(exactly: value)
      // Of larger numbers the digits may have been others.
      case .number(let value): abs(value) < 0x1p53 ? Value(exactly: value) : nil
      default: nil
      }
    guard let number else { throw mismatch(type) }
    return number
  }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    if type == JSONValue.self, let value = value as? Value { return value }
    var decoder = self
    decoder.keepsNames = type is any NamedValues.Type
    return try Value(from: decoder)
  }
}

/// Dictionaries by texts, which are no fields of a type.
private protocol NamedValues {}

extension Dictionary: NamedValues where Key == String {}

/// The fields of an object, as a type asks for them.
private struct JSONFields<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let fields: [String: JSONValue]
  private let decoder: JSONValueDecoder
  var codingPath: [any CodingKey] { decoder.codingPath }
  var allKeys: [Key] { fields.keys.sorted().compactMap { Key(stringValue: $0) } }

  init(_ fields: [String: JSONValue], decoder: JSONValueDecoder) {
    self.decoder = decoder
    guard decoder.spelling.isSnakeCase, !decoder.keepsNames else {
      self.fields = fields
      return
    }
    self.fields = Dictionary(
      fields.sorted { $0.key < $1.key }.map { ($0.key.camelCased, $0.value) }, uniquingKeysWith: { first, _ in first })
  }

  /// By the name in Swift, or by that in the text, which the encoder takes too.
  private func field(_ key: Key) -> JSONValue? {
    fields[key.stringValue] ?? (decoder.spelling.isSnakeCase ? fields[key.stringValue.camelCased] : nil)
  }

  private func part(_ key: Key) throws -> JSONValueDecoder {
    guard let value = field(key) else {
      throw DecodingError.keyNotFound(
        key, .init(codingPath: codingPath, debugDescription: "expected a field \(key.stringValue), found none"))
    }
    return decoder.below(value, key)
  }

  func contains(_ key: Key) -> Bool { field(key) != nil }
  func decodeNil(forKey key: Key) throws -> Bool { try part(key).decodeNil() }
  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try part(key).decode(type) }
  func decode(_ type: String.Type, forKey key: Key) throws -> String { try part(key).decode(type) }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try part(key).decode(type) }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try part(key).decode(type) }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try part(key).decode(type) }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try part(key).decode(type) }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try part(key).decode(type) }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try part(key).decode(type) }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try part(key).decode(type) }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try part(key).decode(type) }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try part(key).decode(type) }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try part(key).decode(type) }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try part(key).decode(type) }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try part(key).decode(type) }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try part(key).decode(type) }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try part(key).container(keyedBy: type) }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try part(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { decoder }
  func superDecoder(forKey key: Key) throws -> any Decoder { try part(key) }
}

/// The items of an array, one after another.
private struct JSONItems: UnkeyedDecodingContainer {
  let items: [JSONValue]
  let decoder: JSONValueDecoder
  var currentIndex = 0
  var codingPath: [any CodingKey] { decoder.codingPath }
  var count: Int? { items.count }
  var isAtEnd: Bool { currentIndex == items.count }

  private struct Index: CodingKey {
    let intValue: Int?
    var stringValue: String { "\(intValue!)" }
    init(intValue: Int) { self.intValue = intValue }
    init?(stringValue: String) { return nil }
  }

  private mutating func next() throws -> JSONValueDecoder {
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        JSONValue.self, .init(codingPath: codingPath, debugDescription: "expected more than \(items.count) items"))
    }
    defer { currentIndex += 1 }
    return decoder.below(items[currentIndex], Index(intValue: currentIndex))
  }

  mutating func decodeNil() throws -> Bool {
    guard !isAtEnd, items[currentIndex] == .null else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try next().decode(type) }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
  mutating func superDecoder() throws -> any Decoder { try next() }
}

extension String {
  /// `lower_bound` as `lowerBound`.
  fileprivate var camelCased: String {
    let words = split(separator: "_", omittingEmptySubsequences: false)
    return words.dropFirst().reduce(String(words.first ?? "")) { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
  }
}
