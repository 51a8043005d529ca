import Testing

@testable import Prompts

@Suite struct PromptTagsTests {
  private typealias Tag = PromptTags.Tag

  @Test(
    arguments: [
      ("<lora:ink:0.8>", "ink", 0.8, 0.8),
      ("<lora:ink>", "ink", 1, 1),
      ("<lyco:ink:-0.5>", "ink", -0.5, -0.5),
      ("<lora:ink:0.5:0.9>", "ink", 0.5, 0.9),
      ("<lora:ink:te=0.5:unet=0.9>", "ink", 0.5, 0.9),
      ("<lora:ink:unet=0.9:te=0.5>", "ink", 0.5, 0.9),
      ("<lora:ink:unet=0.9>", "ink", 1, 0.9),
      ("<lora:ink:te=0.5>", "ink", 0.5, 0.5),
      ("<lora:ink:0.7:unet=0.9>", "ink", 0.7, 0.9),
      ("<lora:ink:0.7:te=0.2>", "ink", 0.2, 0.2),
      ("<lora:ink:0.7:0.3:te=0.2>", "ink", 0.2, 0.3),
      ("<lora: ink v1.0 (style) : .8 >", "ink v1.0 (style)", 0.8, 0.8),
      ("<lora:a=b:1e-1>", "a=b", 0.1, 0.1),
      ("<lora:styles/ink:0>", "styles/ink", 0, 0),
    ] as [(String, String, Double, Double)])
  func strengths(tag: String, name: String, textEncoder: Double, unet: Double) throws {
    for style in [PromptStyle.a1111, .comfy] {
      let tags = try PromptTags(of: "a \(tag)b", style: style)
      #expect(tags.text == "a b")
      #expect(tags.tags == [Tag(name: name, textEncoderStrength: textEncoder, denoiserStrength: unet)])
    }
  }

  @Test func severalTags() throws {
    let tags = try PromptTags(of: "<lora:a:1>cat<lora:b:2>, <lyco:a:3> dog<lora:c>", style: .a1111)
    #expect(tags.text == "cat,  dog")
    #expect(tags.tags.map(\.name) == ["a", "b", "a", "c"])
    #expect(tags.tags.map(\.denoiserStrength) == [1, 2, 3, 1])
  }

  @Test(arguments: [
    "", "cat", "a < b > c", "<3 :)", "<smile>", "<: x>", "x <-> y:z", "<b:c", "<|endoftext|>", "a << b:c",
  ])
  func textWithoutTags(prompt: String) throws {
    #expect(try PromptTags(of: prompt, style: .a1111).text == prompt)
    #expect(try PromptTags(of: prompt, style: .a1111).tags == [])
  }

  @Test func plainStyleHasNoTags() throws {
    for prompt in ["a <lora:x:1>", "<hypernet:x:1>", "<lora:", "<lora:x:y>"] {
      let tags = try PromptTags(of: prompt, style: .plain)
      #expect(tags.text == prompt)
      #expect(tags.tags == [])
    }
  }

  @Test(
    arguments: [
      ("a <lora:x:0.8", .tag("<lora:x:0.8", reason: "expected > at the end of the tag, found none")),
      ("<lora:>", .tag("<lora:>", reason: "name: expected one, found none")),
      ("<lora: :1>", .tag("<lora: :1>", reason: "name: expected one, found none")),
      ("<lora:x:>", .tag("<lora:x:>", reason: "strength: expected a number such as 0.8, found \"\"")),
      ("<lora:x:strong>", .tag("<lora:x:strong>", reason: "strength: expected a number such as 0.8, found \"strong\"")),
      ("<lora:x:nan>", .tag("<lora:x:nan>", reason: "strength: expected a number such as 0.8, found \"nan\"")),
      ("<lora:x:te=>", .tag("<lora:x:te=>", reason: "strength: expected a number such as 0.8, found \"\"")),
      ("<lora:x:1:dyn=8>", .tag("<lora:x:1:dyn=8>", reason: "argument: expected te or unet, found dyn")),
      ("<lora:x:1:1:8>", .tag("<lora:x:1:1:8>", reason: "strengths: expected at most 2, found 3")),
      ("<hypernet:x:1>", .tagKind("hypernet", tag: "<hypernet:x:1>")),
      ("<LORA:x:1>", .tagKind("LORA", tag: "<LORA:x:1>")),
    ] as [(String, PromptError.Kind)])
  func malformed(prompt: String, kind: PromptError.Kind) {
    for style in [PromptStyle.a1111, .comfy] {
      #expect(throws: PromptError(kind)) { try PromptTags(of: prompt, style: style) }
    }
  }
}
