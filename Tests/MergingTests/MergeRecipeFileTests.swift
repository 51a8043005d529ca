import Adapters
import Files
import Recipes
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that a merge written in YAML is read completely or refused with the field's name: nothing that is misspelled
/// or of the wrong type is left out in silence.
@Suite struct MergeRecipeFileTests {
  private func recipe(_ text: String) throws -> RefactorRecipe {
    let folder = try TemporaryFolder()
    return try MergeRecipeFile(path: folder.write(Array(text.utf8), to: "recipe.yaml")).recipe
  }

  /// The reason for a refusal, without file and room.
  private func reason(_ text: String) throws -> String {
    let folder = try TemporaryFolder(), path = try folder.write(Array(text.utf8), to: "recipe.yaml")
    let error = #expect(throws: RecipeError.self) { try MergeRecipeFile(path: path) }
    let message = error?.description ?? "", start = "\(path): recipe: "
    #expect(message.hasPrefix(start))
    #expect(!message.contains("\n"))
    return String(message.dropFirst(start.count))
  }

  private let adapters = "adapters:\n  - file: a.safetensors\n"

  @Test("Every field arrives")
  func complete() throws {
    let folder = try TemporaryFolder()
    let text = """
      adapters:
        - file: style.safetensors
          strength: 0.8
        - file: sub/character.safetensors
          strength: 0.6
          text_encoder_strength: -0.3
        - file: /elsewhere/third.safetensors
      size: 40MB
      dtype: f16
      format: diffusers
      weigh: per-target
      fair: true
      keep_all_targets: true
      """
    let recipe = try MergeRecipeFile(path: folder.write(Array(text.utf8), to: "recipe.yaml")).recipe
    #expect(recipe.operation == .merge)
    #expect(
      recipe.inputs == [
        .init(path: folder.file("style.safetensors"), strength: 0.8),
        .init(path: folder.file("sub/character.safetensors"), strength: 0.6, textEncoderStrength: -0.3),
        .init(path: "/elsewhere/third.safetensors", strength: 1),
      ])
    #expect(recipe.inputs[0].textEncoderStrength == 0.8)
    #expect(recipe.rule == .size(.init(40_000_000)))
    #expect(recipe.dtype == .f16)
    #expect(recipe.format == .diffusers)
    #expect(recipe.weighing == .perTarget)
    #expect(recipe.method is FairShares)
    #expect(recipe.keepsAllTargets)
    #expect(!recipe.allowsUnknown)
    #expect(!recipe.countsLikeKohya)
  }

  @Test("What is not said is the exact sum")
  func plain() throws {
    let recipe = try recipe(adapters)
    #expect(recipe.rule == .exact)
    #expect(recipe.dtype == nil)
    #expect(recipe.format == nil)
    #expect(recipe.weighing == .absolute)
    #expect(recipe.method is LeadingComponents)
    #expect(!recipe.keepsAllTargets)
    #expect(recipe.inputs.map(\.strength) == [1])
  }

  @Test(
    "Every rule can be asked for",
    arguments: [
      ("rank: 8", RankRule.rank(8, conv: nil)), ("rank: 8\nconv_rank: 4", .rank(8, conv: 4)),
      ("energy: 0.95", .energy(0.95)),
      ("energy: 1", .energy(1)), ("max_error: 0.1", .maxError(0.1)), ("size: 20MiB", .size(.init(20 << 20))),
      ("size: 123456", .size(.init(123_456))), ("size: \"1.5 kB\"", .size(.init(1500))),
    ])
  func rules(text: String, rule: RankRule) throws {
    #expect(try recipe(adapters + text).rule == rule)
  }

  @Test(
    "Faults are named",
    arguments: [
      ("strenght: 0.5", "expected a known field, found strenght"),
      ("adapters_: []\nzebra: 1", "expected a known field, found adapters_"),
      ("rank: 8\nsize: 20MB", "expected one of rank, energy, max_error and size, found 2"),
      ("rank: 8\nsize: 20MB\nenergy: 0.5\nmax_error: 0.1", "expected one of rank, energy, max_error and size, found 4"),
      ("rank: 0", "rank: expected at least 1, found 0"),
      ("rank: -3", "rank: expected at least 1, found -3"),
      ("rank: 8\nconv_rank: 0", "rank: expected at least 1, found 0"),
      ("conv_rank: 4", "conv_rank: expected rank beside it, found none"),
      ("size: 20MB\nconv_rank: 4", "conv_rank: expected rank beside it, found none"),
      ("rank: 8.5", "rank: expected a whole number"),
      ("rank: eight", "rank: expected a whole number"),
      ("energy: most", "energy: expected a number"),
      ("energy: 0", "expected a number above 0 and at most 1, found 0.0"),
      ("energy: 1.5", "expected a number above 0 and at most 1, found 1.5"),
      ("max_error: -0.1", "expected a number above 0 and at most 1, found -0.1"),
      ("max_error: .nan", "expected a number above 0 and at most 1, found nan"),
      ("size: large", "size: expected a size such as 20MB, found large"),
      ("size: -5", "size: expected a size such as 20MB, found -5"),
      ("size: [1, 2]", "size: expected one value"),
      ("dtype: f64", "dtype: expected f32, f16, bf16 or f8_e4m3, found f64"),
      ("dtype: half", "dtype: expected f32, f16, bf16 or f8_e4m3, found half"),
      ("format: webui", "format: expected kohya, diffusers, peft or native, found webui"),
      ("weigh: evenly", "weigh: expected absolute or per-target, found evenly"),
      ("fair: perhaps", "fair: expected true or false"),
    ])
  func faults(text: String, expected: String) throws {
    let found = try reason(adapters + text)
    #expect(found == expected)
  }

  @Test(
    "Faults of the adapters are named",
    arguments: [
      ("rank: 8", "expected the field adapters, found none"),
      ("adapters: []", "adapters: expected at least one, found none"),
      (
        "adapters: [{file: a}]\nmethod: tied",
        "method: expected svd, fair, ties, ties-sum, dare, della, slerp, tsv, knots-ties, null-space, normalised, found tied"
      ),
      ("adapters: style.safetensors", "adapters: expected a list"),
      ("adapters:\n  - strength: 1", "expected the field file, found none"),
      ("adapters:\n  - file: a\n    strenght: 0.5", "adapters: expected a known field, found strenght"),
      ("adapters:\n  - file: a\n    strength: strong", "adapters.0.strength: expected a number"),
      ("adapters:\n  - file: a\n    strength: .inf", "strength: expected a finite number"),
      ("adapters:\n  - file: a\n    text_encoder_strength: .nan", "strength: expected a finite number"),
      ("? [adapters]\n: b", "expected names of fields that are texts, found another"),
      ("a: &a [x]\n? *a\n: b", "expected names of fields that are texts, found another"),
      ("adapters: x\n? [b]", "expected names of fields that are texts, found another"),
      ("{? [a] : b}", "expected names of fields that are texts, found another"),
      ("a: x\n\t? [b]\n: c", "expected names of fields that are texts, found another"),
      ("a: x\u{85}? [b]\n: c", "expected names of fields that are texts, found another"),
      ("a: x\u{2028}?\t[b]\n: c", "expected names of fields that are texts, found another"),
      ("\u{feff}? [b]\n: c", "expected names of fields that are texts, found another"),
      ("a: " + String(repeating: "x", count: 256 << 10), "expected at most 262144 bytes, found 262147"),
      ("[[a]: b]", "expected names of fields that are texts, found another"),
      ("adapters:\n  - file: ?a\n    strenght: 1", "adapters: expected a known field, found strenght"),
      ("a: &a x\n*a : b", "expected names of fields that are texts, found another"),
      (
        "adapters:\n  - file: a\nrank: 9223372036854775807:00",
        "expected numbers to base 10, and texts such as this in quotes, found 9223372036854775807:00"
      ),
    ])
  func adapterFaults(text: String, expected: String) throws {
    let found = try reason(text)
    #expect(found == expected)
  }

  @Test("Blocks have some hundred names, not thousands", .timeLimit(.minutes(1)))
  func blocks() throws {
    func text(_ count: Int) -> String {
      adapters + "    blocks: {" + (0..<count).map { "IN\($0): 1" }.joined(separator: ", ") + "}"
    }
    #expect(try recipe(text(300)).inputs.count == 1)
    #expect(try reason(text(301)) == "blocks: expected at most 300, found 301")
    #expect(try reason(text(20_000)) == "blocks: expected at most 300, found 20000")
  }

  @Test(
    "What is not YAML is refused in one line",
    arguments: ["adapters: [", "a: b: c", "\t- x", "", "just words", "- 1\n- 2", "{"])
  func notYAML(text: String) throws {
    #expect(try !reason(text).isEmpty)
  }

  @Test(
    "Upper case number formats are understood too",
    arguments: [("F16", DType.f16), ("bf16", .bf16), ("f8_e4m3", .f8e4m3), ("f32", .f32)])
  func dtypes(name: String, dtype: DType) throws {
    #expect(try recipe(adapters + "dtype: \(name)").dtype == dtype)
  }

  @Test("A file that is not there is missing")
  func missing() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: FileError.self) { try MergeRecipeFile(path: folder.file("no.yaml")) }
    #expect(error?.kind == .missing)
  }

  @Test("The recipe of a file merges")
  func merges() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 1)
    pico.add("lora_unet_a", rows: 6, inputs: 5, rank: 2)
    let adapter = try pico.write(to: folder.file("a.safetensors"))
    let text = "adapters:\n  - {file: a.safetensors, strength: 2}\n  - {file: a.safetensors, strength: -0.5}\nrank: 1\n"
    let recipe = try MergeRecipeFile(path: folder.write(Array(text.utf8), to: "recipe.yaml")).recipe
    let output = try Refactoring(recipe, to: folder.file("m.safetensors")).output.targets[0]
    let dense = DenseTruncation(adapter.targets[0].dense.map { $0 * 1.5 }, rows: 6, columns: 5)
    #expect(relativeDifference(output.dense, dense.approximation(rank: 1)) <= 2e-7)
  }
}
