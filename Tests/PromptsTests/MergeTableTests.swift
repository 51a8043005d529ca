import Testing

@testable import Prompts

@Suite struct MergeTableTests {
  private static let merges = "#version: 0.2\nc a\nca t</w>\nd o\ndo g</w>\n"

  /// The vocabulary that belongs to a table, as `vocab.json` has it.
  private static func vocabulary(_ merged: [String], change: (inout [String: Int]) -> Void = { _ in }) -> String {
    let characters = ByteAlphabet.characters.map { String($0) }
    let tokens = characters + characters.map { $0 + "</w>" } + merged + ["<|startoftext|>", "<|endoftext|>"]
    var numbers = Dictionary(uniqueKeysWithValues: zip(tokens, 0...))
    change(&numbers)
    let entries = numbers.map { name, number in
      "\"\(name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\": \(number)"
    }
    return "{\(entries.joined(separator: ", "))}"
  }

  private static let words = ["ca", "cat</w>", "do", "dog</w>"]

  @Test func smallTable() throws {
    let tokenizer = try CLIPTokenizer(merges: Self.merges, vocabulary: Self.vocabulary(Self.words))
    #expect(tokenizer.vocabularySize == 518)
    #expect(tokenizer.begin == 516)
    #expect(tokenizer.ids(of: "Cat dog") == [513, 515])
    #expect(tokenizer.ids(of: "cats")[0] == 512)
    #expect(tokenizer.ids(of: "cats").count == 3)
  }

  @Test func lineEndsOfAnyKind() throws {
    let windows = try CLIPTokenizer(merges: Self.merges.replacing("\n", with: "\r\n"))
    #expect(windows.ids(of: "cat dog") == [513, 515])
    #expect(try CLIPTokenizer(merges: String(Self.merges.dropLast())).ids(of: "cat dog") == [513, 515])
    #expect(try CLIPTokenizer(merges: String(Self.merges.dropFirst(14))).ids(of: "cat dog") == [513, 515])
    #expect(try CLIPTokenizer(merges: "").vocabularySize == 514)
  }

  @Test(arguments: [
    ("c a\nbat\n", 2, "expected two tokens, found \"bat\""),
    ("c a\nb a t\n", 2, "expected two tokens, found \"b a t\""),
    ("c a\n b\n", 2, "expected two tokens, found \" b\""),
    ("c a\nba t\n", 2, "expected a token that a line above makes, found \"ba\""),
    ("c a\na t\nc at</w>\n", 3, "expected a token that a line above makes, found \"at</w>\""),
    ("a t\nc a\nca t\nc at\n", 4, "\"cat\": expected a new token, found an old one"),
    ("<html>\n", 1, "expected two tokens, found \"<html>\""),
  ])
  func badLines(merges: String, line: Int, reason: String) {
    #expect(throws: PromptError(.merge(line: line, reason: reason), source: "x/merges.txt")) {
      try CLIPTokenizer(merges: merges, source: "x/merges.txt")
    }
  }

  @Test func vocabularyMustAgree() throws {
    func error(_ vocabulary: String) -> PromptError? {
      #expect(throws: PromptError.self) { try CLIPTokenizer(merges: Self.merges, vocabulary: vocabulary) }
    }
    let swapped = error(Self.vocabulary(["ca", "cat</w>", "dog</w>", "do"]))
    #expect(swapped?.kind == .vocabularyEntry(token: "do", expected: 514, found: 515))
    #expect(swapped?.description.hasPrefix("merges.txt: do: number: expected 514, found 515; hint: ") == true)
    #expect(error(Self.vocabulary(["ca"]))?.kind == .vocabularySize(expected: 518, found: 515))
    let renamed = error(Self.vocabulary(Self.words) { $0["kat"] = $0.removeValue(forKey: "ca") })
    #expect(renamed?.kind == .vocabularyEntry(token: "ca", expected: 512, found: nil))
    for text in ["", "[]", "{\"a\": \"b\"}", "<html>"] {
      guard case .vocabularyText? = error(text)?.kind else {
        Issue.record("\(text) is no vocabulary")
        continue
      }
    }
  }
}
