import Factoring
import TestSupport
import Testing

@testable import Recipes

/// Proves that what is in a recipe is read whole or refused in a sentence, whatever it is a recipe of.
@Suite struct RecipeSourceTests {
  private struct Document: Decodable {
    var adapters: [RecipeEntry]
    var dtype: String?
  }

  private func source(_ text: String) throws -> RecipeSource<Document> {
    let folder = try TemporaryFolder()
    return try RecipeSource(path: try folder.write(Array(text.utf8), to: "recipe.yaml"), fields: ["adapters", "dtype"])
  }

  private func reason(_ text: String) -> String {
    do {
      let source = try source(text)
      _ = try source.inputs(source.document.adapters)
      _ = try source.dtype(source.document.dtype)
      return "nothing was refused"
    } catch { return "\(error)".split(separator: "recipe.yaml: recipe: ", maxSplits: 1).last.map(String.init) ?? "" }
  }

  @Test("Files are relative to the recipe, and a text encoder's strength is the other one unless it is told")
  func inputs() throws {
    let source = try source("adapters: [{file: a, strength: 0.5}, {file: /b, strength: 2, text_encoder_strength: 0}]")
    let inputs = try source.inputs(source.document.adapters)
    #expect(inputs[0].path.hasSuffix("/a") && inputs[0].path != "/a" && inputs[1].path == "/b")
    #expect(inputs.map(\.strength) == [0.5, 2] && inputs.map(\.textEncoderStrength) == [0.5, 0])
  }

  @Test(
    "Names that are no texts are refused before they are compared, behind whatever blanks they stand",
    arguments: [
      "? [a]\n: b", "a: x\n\t? [b]\n: c", "a: x\u{85}? [b]\n: c", "a: x\u{2028}?\t[b]\n: c", "\u{feff}? [b]\n: c",
      "{? [a] : b}", "{x: y, ? [a] : b}", "[[a]: b]", "a: &a x\n*a : b",
    ])
  func names(text: String) {
    #expect(reason(text) == "expected names of fields that are texts, found another")
  }

  @Test("A question mark in a text is a text")
  func questions() throws {
    let source = try source("adapters:\n  - file: is it? yes\n    strength: 1\n  - file: '? [a]: b'\n")
    #expect(source.document.adapters.map(\.file) == ["is it? yes", "? [a]: b"])
  }

  @Test(
    "Faults are told",
    arguments: [
      ("adapters: []", "adapters: expected at least one, found none"),
      ("adapter: []", "expected a known field, found adapter"),
      ("adapters: [{file: a, strength: 1e31}]", "strength: expected 0 or a number of 1e-30 to 1e30, found 1e+31"),
      ("adapters: [{file: a}]\ndtype: f17", "dtype: expected f32, f16, bf16 or f8_e4m3, found f17"),
      ("adapters: " + String(repeating: "x", count: 256 << 10), "expected at most 262144 bytes, found 262154"),
    ])
  func faults(text: String, expected: String) {
    #expect(reason(text) == expected)
  }
}
