import Adapters
import Checkpoints
import Factoring
import Recipes
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that a bake written in YAML is read completely or refused with the field's name.
@Suite struct BakeRecipeFileTests {
  private func recipe(_ text: String) throws -> (BakeRecipe, folder: TemporaryFolder) {
    let folder = try TemporaryFolder()
    let path = try folder.write(Array(text.utf8), to: "recipe.yaml")
    return (try BakeRecipeFile(path: path, base: "base").recipe, folder)
  }

  @Test("Every field arrives")
  func complete() throws {
    let (recipe, folder) = try recipe(
      """
      adapters:
        - file: style.safetensors
          strength: 0.8
          text_encoder_strength: 0.5
          blocks: {IN04: 0.25, M00: 0}
        - file: /elsewhere/hero.safetensors
          blocks: [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0.5]
      dtype: bf16
      rounding: stochastic
      seed: 7
      """)
    #expect(recipe.base == "base")
    #expect(recipe.inputs.map(\.path) == [folder.file("style.safetensors"), "/elsewhere/hero.safetensors"])
    #expect(recipe.inputs.map(\.strength) == [0.8, 1])
    #expect(recipe.inputs.map(\.textEncoderStrength) == [0.5, 1])
    #expect(recipe.inputs[0].blocks == BlockWeights(named: ["IN04": 0.25, "M00": 0]))
    #expect(recipe.inputs[1].blocks == BlockWeights([1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0.5]))
    #expect(recipe.dtype == .bf16)
    #expect(recipe.rounding == .stochastic)
    #expect(recipe.seed == 7)
  }

  @Test("Without a word all is as on the command line")
  func defaults() throws {
    let (recipe, _) = try recipe("adapters:\n  - file: a.safetensors\n")
    #expect(recipe.dtype == nil)
    #expect(recipe.rounding == nil)
    #expect(recipe.seed == 0)
    #expect(recipe.inputs[0].blocks == nil)
  }

  @Test(
    "Faults are named",
    arguments: [
      ("adapters: []", "adapters: expected at least one, found none"),
      ("adapters:\n  - file: a\nrank: 4", "expected a known field, found rank"),
      ("adapters:\n  - file: a\n    block: [1]", "adapters: expected a known field, found block"),
      ("adapters:\n  - file: a\n    blocks: [1, 2]", "blocks: expected 12, 17, 20, 26 or 61 numbers, found 2"),
      (
        "adapters:\n  - file: a\nrounding: up", "rounding: expected nearest, stochastic or shaped, found up"
      ),
      ("adapters:\n  - file: a\ndtype: f7", "dtype: expected f32, f16, bf16 or f8_e4m3, found f7"),
      ("adapters:\n  - file: a\n    strength: .nan", "strength: expected a finite number"),
    ])
  func faults(_ text: String, _ reason: String) throws {
    let error = #expect(throws: RecipeError.self) { try recipe(text) }
    #expect(error?.description.hasSuffix("recipe: \(reason)") == true, "\(error?.description ?? "nothing")")
  }
}
