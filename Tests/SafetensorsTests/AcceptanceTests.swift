import Files
import FoundationEssentials
import Platform
import Safetensors
import TestSupport
import Testing

/// A file put together by hand and what opening it must give.
struct HeaderCase: CustomTestStringConvertible, Sendable {
  let name: String
  let file: [UInt8]
  /// The message after the file's name, or `nil` for a file to be accepted.
  let message: String?
  /// The warnings of an accepted file.
  var warnings: [String] = []

  var testDescription: String { name }

  static func refused(_ name: String, _ header: String, _ dataCount: Int, _ message: String) -> HeaderCase {
    HeaderCase(
      name: name, file: RawSafetensors(header: header, data: .init(repeating: 0, count: dataCount)).bytes,
      message: message)
  }

  static func accepted(_ name: String, _ header: String, _ dataCount: Int, warnings: [String] = []) -> HeaderCase {
    HeaderCase(
      name: name, file: RawSafetensors(header: header, data: .init(repeating: 0, count: dataCount)).bytes, message: nil,
      warnings: warnings)
  }

  static func entry(
    _ name: String, dtype: String = "F32", shape: String = "[1]", offsets: String = "[0,4]", more: String = ""
  ) -> String {
    "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":\(offsets)\(more)}"
  }
}

/// Proves that files are accepted and refused row by row as the format's rules say, each refusal with its exact
/// message, and as the reference library does.
@Suite struct AcceptanceTests {
  @Test("a file outside the rules is refused with one line that says why", arguments: HeaderCase.allRefused)
  func refused(headerCase: HeaderCase) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(headerCase.file, to: "adapter.safetensors")
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
    let message = try #require(headerCase.message)
    #expect(error.map { String(describing: $0) } == "\(path): \(message)")
    #expect(!message.contains("\n"))
  }

  @Test("an unusual file within the rules is accepted", arguments: HeaderCase.allAccepted)
  func accepted(headerCase: HeaderCase) throws {
    let folder = try TemporaryFolder()
    let file = try SafetensorsFile(path: try folder.write(headerCase.file, to: "adapter.safetensors"))
    #expect(file.warnings == headerCase.warnings)
    #expect(file.byteCount == headerCase.file.count)
    for entry in file.entries { #expect(file[entry.name]?.bytes.count == entry.range.count) }
  }

  private struct Verdict: Decodable {
    let header: String
    let data: Int
    let accepted: Bool
  }

  @Test("verdicts are the reference library's, but for a tensor name that occurs twice")
  func reference() throws {
    let verdicts = try JSONDecoder().decode([Verdict].self, from: Goldens.data("safetensors/verdicts.json"))
    #expect(verdicts.count > 100)
    let folder = try TemporaryFolder()
    for verdict in verdicts {
      let file = RawSafetensors(header: verdict.header, data: .init(repeating: 0, count: verdict.data))
      let path = try folder.write(file.bytes, to: "case.safetensors")
      var message = "accepted"
      do { _ = try SafetensorsFile(path: path) } catch let error as SafetensorsError { message = error.message }
      let isRepeatedName = message == "a: expected one entry, found two with this name"
      #expect(
        (message == "accepted") == (verdict.accepted && !isRepeatedName),
        "\(verdict.header), \(verdict.data): \(message)")
    }
  }

  @Test("a missing file, a folder and a file that cannot be read are told apart")
  func unreadable() throws {
    let folder = try TemporaryFolder()
    func message(_ path: String) -> String? {
      (#expect(throws: FileError.self) { try SafetensorsFile(path: path) }).map { String(describing: $0) }
    }
    #expect(message(folder.file("none")) == "\(folder.file("none")): no such file")
    #expect(message(folder.path) == "\(folder.path): is not a regular file")
    #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
    #expect(message(folder.file("pipe")) == "\(folder.file("pipe")): is not a regular file")
    try folder.write([0], to: "file")
    #expect(message(folder.file("file/inside")) == "\(folder.file("file/inside")): cannot open: Not a directory")
  }

  @Test("metadata keeps its order, and the last of two equal keys counts")
  func metadata() throws {
    let folder = try TemporaryFolder()
    let header = #"{"__metadata__":{"z":"1","a":"2","z":"3","é\u00e9\ud83d\ude42":"\"\\\/\b\f\n\r\t"}}"#
    let file = try SafetensorsFile(path: folder.write(RawSafetensors(header: header).bytes, to: "m.safetensors"))
    #expect(file.metadata.map(\.key) == ["z", "a", "éé🙂"])
    #expect(file.metadata.map(\.value) == ["3", "2", "\"\\/\u{8}\u{c}\n\r\t"])
    #expect(file.warnings == ["metadata key z occurs twice; the last value counts"])
  }

  @Test("tensors are found by name, with their own bytes, in the header's order")
  func views() throws {
    let folder = try TemporaryFolder()
    let header = "{" + HeaderCase.entry("late", offsets: "[4,8]") + "," + HeaderCase.entry("early") + "}"
    let raw = RawSafetensors(header: header, data: [0, 0, 128, 63, 0, 0, 0, 64])
    let file = try SafetensorsFile(path: folder.write(raw.bytes, to: "v.safetensors"))
    #expect(file.entries.map(\.name) == ["late", "early"])
    #expect(file["early"]?.doubles() == [1] && file["late"]?.doubles() == [2])
    #expect(file["other"] == nil && file.data.count == 8)
  }
}
