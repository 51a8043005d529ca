/// A field that is written as `null` when it has no value, so that it is always there.
@propertyWrapper
public struct Explicit<Value: Encodable & Sendable>: Encodable, Sendable {
  /// The field's value; `nil` is written as `null`.
  public var wrappedValue: Value?
  /// For a field with a value or `nil`.
  public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  /// Writes the value itself, or `null`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}

extension Explicit: Equatable where Value: Equatable {}

extension Explicit: Decodable where Value: Decodable {
  /// `null` gives `nil`; a field that is absent is an error.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    self.init(wrappedValue: container.decodeNil() ? nil : try container.decode(Value.self))
  }
}
