import Testing

@testable import Prompts

@Suite struct PromptStyleTests {
  @Test func a1111() throws {
    let goldens = PromptGolden.all.weights.filter { $0.a1111 != nil }
    #expect(goldens.count > 200)
    for golden in goldens {
      let parts = try PromptStyle.a1111.parts(of: golden.prompt)
      expectEqual(parts, golden.a1111!, golden.prompt)
    }
  }

  @Test func comfy() throws {
    for golden in PromptGolden.all.weights {
      let parts = try PromptStyle.comfy.parts(of: golden.prompt)
      expectEqual(parts, golden.comfy.map(Optional.some), golden.prompt)
    }
  }

  private func expectEqual(_ parts: [PromptPart], _ golden: [PromptGolden.Piece?], _ prompt: String) {
    let expected = golden.map { $0.map { PromptPart.text($0.text, weight: $0.weight) } ?? .chunkBreak }
    #expect(parts == expected, "\(prompt)")
  }

  @Test func plain() throws {
    let prompt = "a (b:1.3) [c:d:0.5] \\( BREAK x AND y"
    #expect(try PromptStyle.plain.parts(of: prompt) == [.text(prompt, weight: 1)])
    #expect(try PromptStyle.plain.parts(of: "") == [])
  }

  @Test(
    "what changes from step to step is refused",
    arguments: [
      ("a [cat:dog:0.5] b", .editing, "[cat:dog:0.5]", 3),
      ("[dog:0.5]", .editing, "[dog:0.5]", 1),
      ("\u{1f468}\u{200d}\u{1f469}[dog::10]", .editing, "[dog::10]", 2),
      ("[ (a:1.2) : b : .25 ]", .editing, "[ (a:1.2) : b : .25 ]", 1),
      ("[:5]", .editing, "[:5]", 1),
      ("[[a|b]:c:3]", .editing, "[[a|b]:c:3]", 1),
      ("(a [cat|dog])", .alternation, "[cat|dog]", 4),
      ("[a|b|c]", .alternation, "[a|b|c]", 1),
      ("[a|]", .alternation, "[a|]", 1),
      ("cat AND dog", .composition, "AND", 5),
      ("cat AND [a|b]", .composition, "AND", 5),
      ("[a|b] AND c", .alternation, "[a|b]", 1),
    ] as [(String, PromptError.Construct, String, Int)])
  func refused(prompt: String, construct: PromptError.Construct, text: String, position: Int) {
    #expect(throws: PromptError(.construct(construct, text: text, position: position))) {
      try PromptStyle.a1111.parts(of: prompt)
    }
    #expect(throws: Never.self) { try PromptStyle.comfy.parts(of: prompt) }
  }

  @Test(
    "what only looks like it is text",
    arguments: [
      "[cat]", "[cat:dog]", "\\[cat:dog:0.5\\]", "[cat:dog:0.5", "cat:dog:0.5]", "(a:b:0.5)", "a|b", "(a|b)", "[(a|b)]",
      "[a (b|c]", "[a|b (c]", "[a:b:c:0.5]", "[cat \\| dog]", "cat and dog", "SAND ANDY AND_", "a:1.5", "[a\\:0.5]x",
    ])
  func notRefused(prompt: String) {
    #expect(throws: Never.self) { try PromptStyle.a1111.parts(of: prompt) }
  }

  @Test func messages() {
    #expect(throws: PromptError(.weight(text: "1.2.3"))) { try PromptStyle.a1111.parts(of: "(a:1.2.3)") }
    #expect(
      PromptError(.weight(text: "1..2")).description == "prompt: weight: expected a number such as 1.2, found 1..2")
    #expect(
      PromptError(.construct(.editing, text: "[a:1]", position: 7)).description
        == "prompt: [a:1] at character 7: prompt editing is not supported; hint: write \\[ and \\] for brackets that are "
        + "meant as text")
  }
}
