/// An entry of a GGUF file's metadata.
public struct GGUFField: Sendable {
  /// What an entry holds. Whole numbers of all widths become one of two kinds.
  public enum Value: Sendable, Equatable {
    case integer(Int64)
    case unsigned(UInt64)
    case number(Double)
    case bool(Bool)
    case string(String)
    /// Only where whole numbers are in it; other arrays, such as a tokenizer's words, are passed over.
    case integers([Int])
    case otherArray
  }

  /// With dots, such as `general.architecture`.
  public let key: String
  /// Text from strangers: show it, never run or trust it.
  public let value: Value
  /// The whole entry, key and all, counted from the beginning of the file.
  public let place: Range<Int>

  /// A single value as text; `nil` for arrays.
  public var text: String? {
    switch value {
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .number(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): value
    case .integers, .otherArray: nil
    }
  }

  /// The most whole numbers of an array that are kept: shapes are short, and nothing else is of interest.
  private static let longestList = 64
  /// Arrays in arrays: the format knows no limit, programs write none.
  private static let deepestArray = 4

  init(_ cursor: inout GGUFCursor) throws(GGUFError) {
    let start = cursor.position
    key = try cursor.text("a key")
    let type = try cursor.integer(UInt32.self)
    value = try Self.value(type, &cursor, depth: 0)
    place = start..<cursor.position
  }

  private static func value(_ type: UInt32, _ cursor: inout GGUFCursor, depth: Int) throws(GGUFError) -> Value {
    switch type {
    case 0: return .unsigned(UInt64(try cursor.integer(UInt8.self)))
    case 1: return .integer(Int64(try cursor.integer(Int8.self)))
    case 2: return .unsigned(UInt64(try cursor.integer(UInt16.self)))
    case 3: return .integer(Int64(try cursor.integer(Int16.self)))
    case 4: return .unsigned(UInt64(try cursor.integer(UInt32.self)))
    case 5: return .integer(Int64(try cursor.integer(Int32.self)))
    case 6: return .number(Double(Float(bitPattern: try cursor.integer())))
    case 7: return .bool(try cursor.integer(UInt8.self) != 0)
    case 8: return .string(try cursor.text("a text"))
    case 9: return try array(&cursor, depth: depth)
    case 10: return .unsigned(try cursor.integer())
    case 11: return .integer(try cursor.integer())
    case 12: return .number(Double(bitPattern: try cursor.integer()))
    default: throw cursor.fault("expected a type of 0 to 12, found \(type)")
    }
  }

  private static func array(_ cursor: inout GGUFCursor, depth: Int) throws(GGUFError) -> Value {
    let type = try cursor.integer(UInt32.self)
    guard depth < deepestArray else { throw cursor.fault("expected at most \(deepestArray) arrays in each other") }
    // A text has a length, and an array a type besides.
    let sizes: [UInt32: Int] = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 9: 12, 10: 8, 11: 8, 12: 8]
    guard let size = sizes[type] else { throw cursor.fault("expected a type of 0 to 12, found \(type)") }
    let count = try cursor.count(of: "elements of an array", size: size)
    if type == 8 || type == 9 {
      for _ in 0..<count {
        if type == 8 {
          let length = try cursor.count(of: "bytes of a text", size: 1)
          try cursor.skip(length)
        } else {
          _ = try array(&cursor, depth: depth + 1)
        }
      }
      return .otherArray
    }
    guard count <= longestList, [4, 5, 10, 11].contains(type) else {
      try cursor.skip(count * size)
      return .otherArray
    }
    var integers: [Int] = []
    for _ in 0..<count {
      let number: Int? =
        switch try value(type, &cursor, depth: depth) {
        case .integer(let value): Int(value)
        case .unsigned(let value): Int(exactly: value)
        default: nil
        }
      guard let number else { return .otherArray }
      integers.append(number)
    }
    return .integers(integers)
  }
}
