import Files
import FoundationEssentials

/// Any JSON value, for configuration files whose unknown fields must survive a round trip.
public enum JSONValue: Codable, Equatable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  /// A whole number above those of `int`: seeds may be that large.
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// Whole numbers become `int`, or `unsigned` where they are too large for it; all other numbers are doubles.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() { self = .null; return }
    if let value = try? container.decode(Bool.self) { self = .bool(value); return }
    if let value = try? container.decode(Int.self) { self = .int(value); return }
    if let value = try? container.decode(UInt64.self) { self = .unsigned(value); return }
    if let value = try? container.decode(Double.self) { self = .number(value); return }
    if let value = try? container.decode(String.self) { self = .string(value); return }
    if let value = try? container.decode([JSONValue].self) { self = .array(value); return }
    self = .object(try container.decode([String: JSONValue].self))
  }

  /// Writes the value as it was read; the order of an object's keys is the encoder's.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .int(let value): try container.encode(value)
    case .unsigned(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }

  /// The most bytes of a text that is read.
  public static let mostBytes = 16 << 20

  /// The value that `text` spells, or `nil` when it is not JSON, or asks for more than any configuration does.
  public init?(parsing text: some StringProtocol) {
    do throws(JSONReader.Fault) { self = try JSONReader.value(text) } catch { return nil }
  }

  /// The JSON object in a file and its text; `nil` when there is no file.
  ///
  /// - Parameter refused: makes an error of what is wrong with the contents.
  /// - Throws: that error, or `FileError` for what is no file or cannot be read.
  public static func object(
    inFile path: String, refused: (_ reason: String) -> any Error
  ) throws -> (fields: [String: JSONValue], text: String)? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let file = try MappedFile(path: path)
    guard file.count <= mostBytes else { throw refused("expected at most \(mostBytes) bytes, found \(file.count)") }
    let otherwise =
      file.bytes.isPointer
      ? "expected a JSON object, found a Git LFS pointer, which stands for a file that was not fetched; hint: git lfs pull"
      : "expected a JSON object"
    guard let text = file.bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw refused(otherwise)
    }
    do throws(JSONReader.Fault) {
      guard let fields = try JSONReader.value(text).object else { throw JSONReader.Fault() }
      return (fields, text)
    } catch { throw refused(error.reason ?? otherwise) }
  }

  /// Readable text with sorted keys.
  public var text: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
  }

  /// Any number, whole ones too; `nil` for other values.
  public var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .unsigned(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// A whole number that is written as one; `nil` for other values.
  public var int: Int? { if case .int(let value) = self { value } else { nil } }
  /// `nil` for other values than `true` and `false`.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// `nil` for other values than text; numbers are not made text.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The fields by name; `nil` for other values than objects.
  public var object: [String: JSONValue]? { if case .object(let value) = self { value } else { nil } }
  /// The elements in order; `nil` for other values than arrays.
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
}

extension JSONValue {
  /// One line with sorted keys.
  public var compactText: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
  }
}
