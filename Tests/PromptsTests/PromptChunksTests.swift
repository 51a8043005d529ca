import Testing

@testable import Prompts

@Suite struct PromptChunksTests {
  private let tokenizer = CLIPTokenizer.standard

  @Test func a1111() throws {
    for golden in PromptGolden.all.chunks { try expectEqual(golden.a1111, golden.prompt, .a1111) }
  }

  @Test func comfy() throws {
    for golden in PromptGolden.all.chunks { try expectEqual(golden.comfy, golden.prompt, .comfy) }
  }

  private func expectEqual(_ golden: [PromptGolden.Content], _ prompt: String, _ style: PromptStyle) throws {
    for padding in [tokenizer.end, 0] {
      let chunks = try PromptChunks(of: prompt, style: style, tokenizer: tokenizer, padding: padding)
      #expect(chunks.truncatedTokens == 0)
      #expect(chunks.chunks.count == golden.count, "\(prompt)")
      for (chunk, content) in zip(chunks.chunks, golden) {
        let rest = 75 - content.ids.count
        #expect(chunk.ids == [49406] + content.ids + [49407] + [Int32](repeating: padding, count: rest), "\(prompt)")
        let weights = content.weights.map { Float($0) }
        #expect(chunk.weights == [1] + weights + [Float](repeating: 1, count: rest + 1), "\(prompt)")
        #expect(chunk.isWeighted == !weights.allSatisfy { $0 == 1 })
      }
    }
  }

  @Test func plainTruncates() throws {
    for golden in PromptGolden.all.chunks {
      let chunks = try PromptChunks(of: golden.prompt, style: .plain, tokenizer: tokenizer, padding: 0)
      #expect(chunks.chunks.count == 1)
      let kept = golden.plain.prefix(75)
      let ids = [49406] + kept + [49407] + [Int32](repeating: 0, count: 75 - kept.count)
      #expect(chunks.chunks[0].ids == ids, "\(golden.prompt)")
      #expect(chunks.truncatedTokens == golden.plain.count - kept.count, "\(golden.prompt)")
      #expect(!chunks.isWeighted)
    }
  }

  @Test func stylesAgreeWithoutWeights() throws {
    let prompt = "a photo of a cat, best quality"
    let all = try PromptStyle.allCases.map {
      try PromptChunks(of: prompt, style: $0, tokenizer: tokenizer, padding: 49407)
    }
    #expect(all[0] == all[1])
    #expect(all[0] == all[2])
  }

  @Test func padding() throws {
    let chunks = try PromptChunks(of: "(cat:1.2)", style: .a1111, tokenizer: tokenizer, padding: 0)
    let three = chunks.padded(to: 3)
    #expect(three.chunks.count == 3)
    #expect(three.chunks[0] == chunks.chunks[0])
    #expect(three.chunks[2] == three.empty)
    #expect(three.empty.ids == [49406, 49407] + [Int32](repeating: 0, count: 75))
    #expect(!three.empty.isWeighted)
    #expect(three.isWeighted)
    #expect(try PromptChunks(of: "", style: .comfy, tokenizer: tokenizer, padding: 0).chunks == [three.empty])
  }

  @Test func errorsPassThrough() {
    #expect(throws: PromptError(.construct(.composition, text: "AND", position: 3))) {
      try PromptChunks(of: "a AND b", style: .a1111, tokenizer: tokenizer, padding: 0)
    }
  }
}
