import Adapters
import Checkpoints
import Factoring
import Files
import FoundationEssentials
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that a baked file is the base's but for what was changed, and that it tells where it comes from.
@Suite struct BakedFileTests {
  private let bench: Bench

  init() throws { bench = try Bench() }

  private let metadata: [(key: String, value: String)] = [
    ("z", "first"), ("modelspec.sai_model_spec", "1.0.0"), ("modelspec.hash_sha256", "0xabc"),
    ("sshs_model_hash", "abc"), ("sshs_legacy_hash", "ab"), ("format", "pt"), ("lathe.recipe", "old"),
    ("modelspec.merged_from", "old"), ("a", "Größe \"quoted\""),
  ]

  private func writeBase(_ name: String = "base.safetensors") throws -> [NamedValues] {
    let tensors = [
      filler("z.weight", [3, 4], .f16, seed: 1), ("v_pred", [0], .f32, []), filler("a.weight", [6, 5], .bf16, seed: 2),
      ("ztsnr", [], .f32, [1]), filler("m.bias", [6], .f32, seed: 3), ("position_ids", [1, 3], .i64, [0, 1, 2]),
      // Numbers that no sum could keep.
      ("odd.weight", [4], .f16, [.nan, .infinity, -0.0, 0]),
    ]
    try bench.base(tensors, metadata: metadata, name)
    return tensors
  }

  @Test("order, untouched tensors, markers and metadata stay; stale hashes go")
  func contents() throws {
    let tensors = try writeBase()
    let result = try bench.bake([.init(path: bench.adapter([Change("lora_unet_a", 6, 5)]), strength: 0.5)])
    let file = try bench.file()
    #expect(file.entries.map(\.name) == tensors.map(\.name))
    #expect(file.entries.map(\.dtype) == tensors.map(\.dtype))
    for tensor in tensors where tensor.name != "a.weight" {
      #expect(try bench.bytes(tensor.name) == bench.bytes(tensor.name, "base.safetensors"), "\(tensor.name)")
    }
    #expect(try bench.bytes("a.weight") != bench.bytes("a.weight", "base.safetensors"))
    #expect(
      file.metadata.map(\.key) == [
        "z", "modelspec.sai_model_spec", "format", "a", "modelspec.merged_from", "lathe.version", "lathe.recipe",
      ])
    let values = Dictionary(uniqueKeysWithValues: file.metadata.map { ($0.key, $0.value) })
    #expect(values["a"] == "Größe \"quoted\"" && values["z"] == "first")
    #expect(values["modelspec.merged_from"] == "base.safetensors, adapter.safetensors")
    #expect(result.bytes == file.byteCount && result.files.map(\.path) == [bench.path("out.safetensors")])
  }

  private struct Recipe: Decodable {
    struct Input: Decodable {
      var file: String
      var content_sha256: String
      var strength: Double
      var text_encoder_strength: Double
      var has_block_weights: Bool
    }
    struct Base: Decodable {
      var file: String
      var content_sha256: String
    }
    var operation: String
    var inputs: [Input]
    var rounding: String
    var seed: String?
    var dtype: String?
    var base: Base
  }

  @Test("the recipe has the hashes of the base and the adapters")
  func recipe() throws {
    _ = try writeBase()
    let inputs = [
      AdapterInput(path: try bench.adapter([Change("lora_unet_a", 6, 5)]), strength: 0.5, textEncoderStrength: 0.25),
      AdapterInput(
        path: try bench.adapter([Change("lora_unet_z", 3, 4)], "two.safetensors"), blocks: BlockWeights(named: [:])),
    ]
    try bench.bake(inputs, dtype: nil, rounding: .stochastic)
    let text = try #require(bench.file().metadata.first { $0.key == "lathe.recipe" }?.value)
    let recipe = try JSONDecoder().decode(Recipe.self, from: Data(text.utf8))
    #expect(recipe.operation == "bake" && recipe.rounding == "stochastic" && recipe.seed == "7" && recipe.dtype == nil)
    #expect(recipe.base.file == "base.safetensors")
    #expect(try recipe.base.content_sha256 == ContentHash.sha256(bench.file("base.safetensors").data))
    #expect(recipe.inputs.map(\.file) == ["adapter.safetensors", "two.safetensors"])
    for (input, file) in zip(recipe.inputs, ["adapter.safetensors", "two.safetensors"]) {
      #expect(try input.content_sha256 == ContentHash.sha256(bench.file(file).data))
    }
    #expect(recipe.inputs.map(\.strength) == [0.5, 1] && recipe.inputs.map(\.text_encoder_strength) == [0.25, 1])
    #expect(recipe.inputs.map(\.has_block_weights) == [false, true])
  }

  @Test("shards keep their files, the folder its companions; duplicates are left out with a word")
  func shards() throws {
    let first = "model-00001-of-00002.safetensors", second = "model-00002-of-00002.safetensors"
    try bench.base([filler("a.weight", [6, 5], .f16, seed: 1)], "base/" + first)
    try bench.base([filler("b.weight", [6, 5], .f16, seed: 2)], "base/" + second)
    try bench.text(
      #"{"metadata": {}, "weight_map": {"a.weight": "\#(first)", "b.weight": "\#(second)"}}"#,
      to: "base/model.safetensors.index.json")
    try bench.text("{}", to: "base/config.json")
    try bench.text("words", to: "base/deep/tokenizer.txt")
    try bench.text("old", to: "base/pytorch_model.bin")
    let adapter = try bench.adapter([Change("lora_unet_b", 6, 5)])
    let plan = try BakePlan(BakeRecipe(base: bench.path("base"), inputs: [.init(path: adapter)]))
    #expect(
      plan.warnings.contains("pytorch_model.bin: left out, it holds the same weights again without the change"))
    for (base, output) in [("base", "out"), ("base/", "slash/"), ("base/model.safetensors.index.json", "index")] {
      try bench.bake([.init(path: adapter)], base: base, to: output)
      let own = bench.path(output)
      var files = [first, second, "model.safetensors.index.json"]
      if base.hasPrefix("base/m") == false { files += ["config.json", "deep/tokenizer.txt"] }
      let found = try FileManager.default.subpathsOfDirectory(atPath: own).filter { $0 != "deep" }.sorted()
      #expect(found == files.sorted(), "\(base)")
      #expect(try bench.bytes("a.weight", "\(output)/\(first)") == bench.bytes("a.weight", "base/" + first))
      #expect(try bench.bytes("b.weight", "\(output)/\(second)") != bench.bytes("b.weight", "base/" + second))
      for file in files where !file.hasSuffix("safetensors") {
        #expect(try bench.folder.bytes(of: "\(output)/\(file)") == bench.folder.bytes(of: "base/" + file))
      }
    }
    #expect(try !bench.folder.names.contains { $0.hasSuffix(".partial") })
  }

  @Test("a rehearsal writes nothing and measures the same", arguments: Rounding.allCases)
  func rehearsal(_ rounding: Rounding) throws {
    _ = try writeBase()
    let adapter = try bench.adapter([Change("lora_unet_a", 6, 5, size: 0.01), Change("lora_unet_z", 3, 4, seed: 4)])
    let plan = try BakePlan(
      BakeRecipe(base: bench.path("base.safetensors"), inputs: [.init(path: adapter)], rounding: rounding))
    let before = try bench.folder.names
    let rehearsed = try plan.rehearsed(output: "x", threads: 2)
    #expect(try bench.folder.names == before)
    let real = try plan.write(to: bench.path("out.safetensors"), overwriting: false, threads: 1)
    #expect(rehearsed.total == real.total && real.total.count == 42)
    #expect(rehearsed.entries.map(\.name) == ["z.weight", "a.weight"])
    #expect(rehearsed.blocks.map(\.name) == real.blocks.map(\.name))
  }

  @Test("a bake into a base in memory, and its undo file, are those of the base's file, to the byte")
  func inMemory() throws {
    // In the order that files have where nobody gives them another.
    let tensors: [NamedValues] = [
      filler("b.weight", [4, 3], .f32, seed: 4), filler("a.bias", [6], .f16, seed: 3),
      filler("a.weight", [6, 5], .f16, seed: 2),
    ]
    try bench.base(tensors)
    let input = AdapterInput(path: try bench.adapter([Change("lora_unet_a", 6, 5)]), strength: 0.5)
    try bench.bake([input], undo: "undo")
    let own = tensors.map { (name: $0.name, tensor: Tensor($0.values, shape: Shape($0.shape), dtype: $0.dtype)) }
    let base = try Checkpoint(tensors: own, title: "base.safetensors")
    let plan = try BakePlan(
      BakeRecipe(base: base.path, inputs: [input], rounding: .nearest, seed: 7), adapters: [Adapter(path: input.path)],
      on: base)
    _ = try plan.write(to: bench.path("own.safetensors"), undo: bench.path("own-undo"), overwriting: true, threads: 2)
    #expect(try bench.folder.bytes(of: "own.safetensors") == bench.folder.bytes(of: "out.safetensors"))
    #expect(try bench.folder.bytes(of: "own-undo") == bench.folder.bytes(of: "undo"))
  }
}
