import FoundationEssentials
import Testing

@testable import JSON

/// Proves that types of ours come out of `JSONValue` as Foundation's decoder makes them of the same text.
@Suite struct JSONDecodingTests {
  private struct Part: Codable, Equatable {
    var lowerBound: Int
    var names: [String]
    var share: Double?
  }

  private struct Whole: Codable, Equatable {
    var seed: UInt64
    var isLarge: Bool
    var firstPart: Part
    var partsByName: [String: Part]
    var pairs: [[Double]]
    var nothing: String?
    var single: Float
    var small: Int8
  }

  private let whole = Whole(
    seed: .max, isLarge: true, firstPart: Part(lowerBound: -3, names: ["a", "ä\n"], share: 0.1),
    partsByName: ["some_name": Part(lowerBound: 1 << 60, names: [], share: nil)], pairs: [[1, 2.5], []], nothing: nil,
    single: 0.1, small: -128)

  @Test("what Foundation wrote, in either spelling", arguments: [false, true]) func roundTrip(isSnakeCase: Bool) throws
  {
    let encoder = JSONEncoder()
    if isSnakeCase { encoder.keyEncodingStrategy = .convertToSnakeCase }
    let text = String(decoding: try encoder.encode(whole), as: UTF8.self)
    let value = try #require(JSONValue(parsing: text))
    #expect(try value.decoded(Whole.self, spelling: isSnakeCase ? .report : .plain) == whole)
  }

  @Test("numbers that JSON has no words for") func notFinite() throws {
    let value = try #require(JSONValue(parsing: #"["NaN", "Infinity", "-Infinity", 1]"#))
    let numbers = try value.decoded([Double].self, spelling: .report)
    #expect(numbers[0].isNaN && numbers[1] == .infinity && numbers[2] == -.infinity && numbers[3] == 1)
    #expect(throws: DecodingError.self) { try value.decoded([Double].self) }
  }

  @Test(
    "what is something else is refused",
    arguments: [
      #"{"lowerBound": 1.5, "names": []}"#, #"{"lowerBound": "1", "names": []}"#, #"{"names": []}"#, "[]", "null",
      #"{"lowerBound": 1, "names": {}}"#, #"{"lowerBound": 1, "names": [null]}"#,
      #"{"lowerBound": 1e300, "names": []}"#,
      #"{"lowerBound": 1, "names": [], "share": "NaN"}"#, #"{"lowerBound": true, "names": []}"#,
    ])
  func refused(text: String) throws {
    let value = try #require(JSONValue(parsing: text))
    #expect(throws: DecodingError.self) { try value.decoded(Part.self) }
  }

  @Test("whole numbers of another size are refused, and none is rounded") func sizes() throws {
    func number<Value: Decodable>(_ text: String, _ type: Value.Type) throws -> Value {
      try #require(JSONValue(parsing: text)).decoded(type)
    }
    #expect(try number("18446744073709551615", UInt64.self) == .max)
    #expect(try number("9223372036854775807", Int.self) == .max)
    #expect(throws: DecodingError.self) { try number("9223372036854775808", Int.self) }
    #expect(throws: DecodingError.self) { try number("18446744073709551616", UInt64.self) }
    #expect(throws: DecodingError.self) { try number("-1", UInt64.self) }
    #expect(throws: DecodingError.self) { try number("128", Int8.self) }
  }
}
