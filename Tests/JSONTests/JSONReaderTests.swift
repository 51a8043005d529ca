import FoundationEssentials
import TestSupport
import Testing

@testable import JSON

/// Proves what is JSON and what a configuration may ask for; on sound text the system's reader has the same word.
@Suite struct JSONReaderTests {
  @Test(
    "sound text is read as the system reads it",
    arguments: [
      "{}", "[]", " [ ] ", "null", "true", "[true,false,null]", "0", "-0", "4.0", "1e3", "1E+2", "-1.5e-3", "0.1",
      "9223372036854775807", "9223372036854775808", "-9223372036854775808", "123456789012345678901234567890", "1.5e300",
      "1e-400", "\"\"", "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e9\\ud83d\\ude42é🙂\"", "\u{feff}{\"a\":1}",
      "{\"a\":{\"b\":[1,2.5,\"x\",{}]},\"c\":[[],[[]]]}\n",
    ])
  func sound(text: String) throws {
    let expected = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    #expect(JSONValue(parsing: text) == expected)
  }

  @Test(
    "what is no JSON is refused",
    arguments: [
      "", " ", "{", "[", "\"", "{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}", "[1,]", "{\"a\":1,}", "[1 2]", "[1]]",
      "{} {}", "01",
      "+1", ".5", "1.", "1e", "-", "NaN", "Infinity", "nul", "truex", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
      "\"\\udc00\"",
      "\"\\ud800\\u0041\"", "\"\n\"", "\u{feff}", "// a\n{}",
    ])
  func refused(text: String) { #expect(JSONValue(parsing: text) == nil) }

  private func reason(_ text: String) -> String? {
    (#expect(throws: JSONReader.Fault.self) { try JSONReader.value(text) })?.reason
  }

  @Test("names that stand twice, numbers that are none, and texts that ask for too much are refused with the reason")
  func limits() {
    #expect(reason("{\"r\":8,\"x\":{},\"r\":16}") == "expected each name once, found r twice")
    #expect(reason("{\"r\":1e999}") == "expected a finite number")
    let tooMuch = "expected at most 1048576 values, and 64 in each other, found more"
    #expect(JSONValue(parsing: String(repeating: "[", count: 64) + "0" + String(repeating: "]", count: 64)) != nil)
    #expect(reason(String(repeating: "[", count: 65) + "0" + String(repeating: "]", count: 65)) == tooMuch)
    #expect(reason(String(repeating: "{\"a\":", count: 1_000_000)) == tooMuch)
    #expect(reason("[\(String(repeating: "0,", count: 1 << 20))0]") == tooMuch)
    #expect(
      reason(String(repeating: " ", count: 1 + 16 << 20)) == "expected at most 16777216 bytes, found 16777217")
  }

  private struct Refusal: Error, CustomStringConvertible { let description: String }

  @Test("a file that is no object, and one that cannot be read, are told apart")
  func files() throws {
    let folder = try TemporaryFolder()
    func object(_ name: String) throws -> [String: JSONValue]? {
      try JSONValue.object(inFile: folder.file(name)) { Refusal(description: "\(folder.file(name)): \($0)") }?.fields
    }
    func message(_ name: String) -> String {
      do { return "\(try object(name) as Any)" } catch { return "\(error)" }
    }
    #expect(try object("none.json") == nil)
    try folder.write(Array("{\"a\":1}".utf8), to: "good.json")
    #expect(try object("good.json") == ["a": .int(1)])
    try folder.write([0x7b, 0xff, 0x7d], to: "bytes.json")
    #expect(message("bytes.json") == "\(folder.file("bytes.json")): expected a JSON object")
    try FileManager.default.createDirectory(atPath: folder.file("folder.json"), withIntermediateDirectories: true)
    #expect(message("folder.json") == "\(folder.file("folder.json")): is not a regular file")
  }
}
