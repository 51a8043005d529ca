import Foundation
import JSON
import TestSupport
import Testing

@testable import Prompts

/// Against `Qwen2Tokenizer` of transformers with a small table: `Tests/Goldens/diffusion/zimage.py`.
@Suite struct QwenTokenizerTests {
  private struct Text: Decodable {
    let text: String
    let ids: [Int32]
  }

  private let json: String
  private let texts: [Text]

  init() throws {
    let folder = "diffusion/zimage-pipeline"
    json = String(decoding: try Goldens.data("\(folder)/tokenizer/tokenizer.json"), as: UTF8.self)
    texts = try JSONDecoder().decode([Text].self, from: Goldens.data("\(folder)/tokens.json"))
  }

  @Test("the same tokens as transformers")
  func agrees() throws {
    let tokenizer = try QwenTokenizer(json: json)
    #expect(texts.count > 150 && tokenizer.vocabularySize == 383)
    for text in texts {
      let found = try tokenizer.ids(of: text.text)
      #expect(found == text.ids, "\(text.text.debugDescription)")
    }
    #expect(tokenizer.token(spelled: "<|im_end|>") == 378 && tokenizer.token(spelled: "<|im") == nil)
  }

  @Test("the same from a vocabulary and its merges")
  func separateTables() throws {
    let fields = try #require(JSONValue(parsing: json)?.object), model = try #require(fields["model"]?.object)
    guard case .array(let merges) = model["merges"], case .array(let added) = fields["added_tokens"] else {
      Issue.record("another tokenizer.json")
      return
    }
    let lines = merges.map { pair -> String in
      guard case .array(let parts) = pair else { return "" }
      return parts.compactMap(\.string).joined(separator: " ")
    }
    let tokens = Dictionary(uniqueKeysWithValues: added.map { ("\(Int($0.object!["id"]!.double!))", $0) })
    let tokenizer = try QwenTokenizer(
      vocabulary: try #require(model["vocab"]).text, merges: (["#version: 0.2"] + lines).joined(separator: "\n") + "\n",
      configuration: JSONValue.object(["added_tokens_decoder": .object(tokens)]).text)
    for text in texts { #expect(try tokenizer.ids(of: text.text) == text.ids, "\(text.text.debugDescription)") }
  }

  @Test("pieces by their rules")
  func pieces() {
    func pieces(_ text: String) -> [String] {
      QwenPieces(of: Array(text.unicodeScalars)).map { piece in
        var string = ""
        string.unicodeScalars.append(contentsOf: piece)
        return string
      }
    }
    #expect(pieces("A cat's 12!") == ["A", " cat", "'s", " ", "1", "2", "!"])
    #expect(pieces("I'LL DON'T 'x") == ["I", "'LL", " DON", "'T", " '", "x"])
    #expect(pieces("a  b   ") == ["a", " ", " b", "   "])
    #expect(pieces("!!\n\n x\r\n\t y") == ["!!\n\n", " x", "\r\n", "\t", " y"])
    #expect(pieces(" \n \n  z") == [" \n \n", " ", " z"])
    #expect(pieces(",a-b \u{301}") == [",a", "-b", " \u{301}"])
    #expect(pieces("").isEmpty)
  }

  @Test("another kind of tokenizer is refused by what differs")
  func refusals() throws {
    for (old, new, message) in [
      (#""NFC""#, #""NFKC""#, "tokenizer.json: normalizer: type: expected \"NFC\", found \"NFKC\""),
      (#""BPE""#, #""Unigram""#, "tokenizer.json: model: type: expected \"BPE\", found \"Unigram\""),
      (
        #""Isolated""#, #""Removed""#,
        "tokenizer.json: pre_tokenizer: behavior: expected \"Isolated\", found \"Removed\""
      ),
      (
        #""byte_fallback": false"#, #""byte_fallback": true"#,
        "tokenizer.json: model: byte_fallback: expected false, found true"
      ),
      (#""id": 377"#, #""id": -1"#, nil),
      (#""lstrip": false"#, #""lstrip": true"#, "tokenizer.json: <|endoftext|>: lstrip: expected false, found true"),
    ] as [(String, String, String?)] {
      #expect(json.contains(old))
      let broken = json.replacingOccurrences(
        of: old, with: new, range: json.range(of: old))
      let error = try #require(throws: PromptError.self) { try QwenTokenizer(json: broken) }
      if let message { #expect(error.description == message) }
    }
    #expect(throws: PromptError.self) { try QwenTokenizer(json: "{") }
    #expect(throws: PromptError.self) { try QwenTokenizer(vocabulary: #"{"a": 0}"#, merges: "", configuration: "{}") }
    let tokenizer = try QwenTokenizer(json: json)
    #expect(throws: PromptError.self) { try tokenizer.ids(of: String(repeating: "x", count: (1 << 16) + 1)) }
  }
}
