import Prompts
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused as prompts") func prompts() throws {
    let tokenizer = CLIPTokenizer.standard, tokens = 0..<Int32(tokenizer.vocabularySize)
    var refused = 0, read = 0
    for (name, bytes) in try FuzzCorpus.inputs("prompt") {
      for style in PromptStyle.allCases {
        do {
          let tags = try PromptTags(of: String(decoding: bytes, as: UTF8.self), style: style)
          let chunks = try PromptChunks(of: tags.text, style: style, tokenizer: tokenizer, padding: 0).chunks
          read += 1
          for chunk in chunks {
            #expect(chunk.ids.count == PromptChunk.length && chunk.ids.allSatisfy(tokens.contains), "\(name)")
          }
        } catch {
          refused += 1
          #expect("\(error)".hasPrefix("prompt: "), "\(name): \(error)")
        }
      }
    }
    #expect(refused > 0 && read > 0)
  }

  @Test("inputs of the fuzzer are read or refused as tables of a tokenizer") func tokenizers() throws {
    let inputs = try FuzzCorpus.inputs("tokenizer")
    var refused = 0
    for (name, bytes) in inputs {
      let (merges, vocabulary) = FuzzInput.tokenizer(bytes)
      do {
        let tokenizer = try CLIPTokenizer(merges: merges, vocabulary: vocabulary)
        let ids = tokenizer.ids(of: "Cat, dog 12 don't <|endoftext|> \(merges.prefix(200))")
        #expect(ids.contains(tokenizer.end) && ids.allSatisfy { (0...tokenizer.end).contains($0) }, "\(name)")
      } catch {
        refused += 1
        #expect("\(error)".hasPrefix("merges.txt: "), "\(name): \(error)")
      }
    }
    #expect(refused > 0 && refused < inputs.count)
  }
}
