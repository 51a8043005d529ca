import Codecs
import Factoring
import Files
import GGUF
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that a bake does not depend on the base's container, and that GGUF comes out as ggml's own package would make it.
@Suite struct ContainerBakeTests {
  private let folder: TemporaryFolder
  private let attention = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1."

  init() throws { folder = try TemporaryFolder() }

  /// An adapter for two matrices of the UNet.
  private func adapter(scale: Double = 0.1) throws -> String {
    var random = SplitMix64(seed: 7), tensors: [NamedValues] = []
    for name in ["to_q", "to_k"] {
      let target = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_\(name)"
      tensors.append((target + ".lora_up.weight", [32, 2], .f32, random.gaussians(64).map { $0 * scale }))
      tensors.append((target + ".lora_down.weight", [2, 32], .f32, random.gaussians(64)))
    }
    let path = folder.file("adapter-\(scale).safetensors")
    try writeAdapter(to: path, tensors: tensors)
    return path
  }

  private func recipe(
    _ base: String, strength: Double = 0.7, dtype: DType? = nil, toGGUF: Bool = false, blocks: BlockFormat? = nil,
    rounding: Rounding = .nearest, requantises: Bool = false
  ) throws -> BakeRecipe {
    var recipe = BakeRecipe(
      base: Goldens.path("checkpoints/\(base)"), inputs: [AdapterInput(path: try adapter(), strength: strength)],
      dtype: dtype, rounding: rounding)
    (recipe.container, recipe.blocks) = (toGGUF ? .gguf : .safetensors, blocks)
    recipe.requantises = requantises
    return recipe
  }

  private func bake(_ recipe: BakeRecipe, to name: String) throws -> BakeResult {
    try BakePlan(recipe).write(to: folder.file(name), overwriting: false, threads: 2)
  }

  private func bytes(_ tensor: Tensor?) -> [UInt8] { tensor?.bytes.withUnsafeBytes(Array.init) ?? [] }

  @Test("the data of a bake is the same for every form of pickle", arguments: [nil, .f16, .f32] as [DType?])
  func pickles(dtype: DType?) throws {
    _ = try bake(recipe("model.safetensors", dtype: dtype), to: "reference.safetensors")
    let reference = try SafetensorsFile(path: folder.file("reference.safetensors"))
    for name in ["zip.ckpt", "legacy.ckpt", "deflated.ckpt", "bare.pth"] {
      let result = try bake(recipe(name, dtype: dtype), to: name + ".safetensors")
      let file = try SafetensorsFile(path: folder.file(name + ".safetensors"))
      #expect(result.total.share != nil && result.bytes == file.byteCount)
      #expect(file.metadata.contains { $0.key == "format" && $0.value == "pt" })
      #expect(file.entries.count == reference.entries.count)
      for entry in reference.entries {
        #expect(bytes(file[entry.name]) == bytes(reference.tensor(entry)), "\(name): \(entry.name)")
      }
      // A file of safetensors' own writer stands in the canonical order, as what comes of a pickle does.
      if dtype == nil {
        #expect(file.data.withUnsafeBytes(Array.init) == reference.data.withUnsafeBytes(Array.init), "\(name)")
      }
    }
  }

  @Test("a folder of .bin files becomes one of safetensors, with its index")
  func folders() throws {
    var recipe = try recipe("folder")
    recipe.allowsUnmatched = true
    let result = try bake(recipe, to: "out")
    #expect(
      result.files.map { String($0.path.dropFirst(folder.file("out/").count)) } == [
        "unet/diffusion_pytorch_model.safetensors", "text_encoder/model-00001-of-00002.safetensors",
        "text_encoder/model-00002-of-00002.safetensors",
      ])
    // Opening follows the index and finds every tensor where it says.
    let plan = try BakePlan(BakeRecipe(base: folder.file("out"), inputs: recipe.inputs, allowsUnmatched: true))
    #expect(plan.base.companions.contains("text_encoder/model.safetensors.index.json") && plan.base.weights.count == 6)
    #expect(plan.base.warnings.isEmpty && plan.base.duplicates.isEmpty)
    let base = try SafetensorsFile(path: Goldens.path("checkpoints/folder.safetensors"))
    for weight in plan.base.weights where !weight.name.hasSuffix("to_q.weight") {
      let name = "\(plan.base.files[weight.file].relativePath.split(separator: "/")[0])/\(weight.entry.name)"
      #expect(bytes(plan.base.tensor(weight)) == bytes(base[name]), "\(name)")
    }
  }

  @Test("Q8_0 becomes what it stands for; with the delta, the bits of the same model in safetensors")
  func fromGGUF() throws {
    let plan = try BakePlan(recipe("mixed.gguf"))
    #expect(plan.warnings.contains { $0.contains("3 tensors of Q8_0 become F32") })
    _ = try bake(recipe("mixed.gguf"), to: "a.safetensors")
    _ = try bake(recipe("mixed.safetensors"), to: "b.safetensors")
    let found = try SafetensorsFile(path: folder.file("a.safetensors"))
    let expected = try SafetensorsFile(path: folder.file("b.safetensors"))
    #expect(found.data.withUnsafeBytes(Array.init) == expected.data.withUnsafeBytes(Array.init))
    #expect(found.metadata.contains { $0.key == "general.name" && $0.value == "a tiny model" })
  }

  @Test("GGUF for GGUF keeps every format, metadata, and all that nothing is added to")
  func toGGUF() throws {
    let result = try bake(recipe("mixed.gguf", toGGUF: true, requantises: true), to: "a.gguf")
    let base = try GGUFFile(MappedFile(path: Goldens.path("checkpoints/mixed.gguf")))
    let file = try GGUFFile(MappedFile(path: folder.file("a.gguf")))
    #expect(result.bytes == file.bytes.count)
    #expect(file["example.words"] == .otherArray && file["general.file_type"] == .unsigned(7))
    #expect(file.fields.map(\.key).suffix(2) == ["lathe.version", "lathe.recipe"])
    _ = try bake(recipe("mixed.gguf", dtype: .f32), to: "sums.safetensors")
    let sums = try SafetensorsFile(path: folder.file("sums.safetensors"))
    for (new, old) in zip(file.entries, base.entries) {
      #expect(new.name == old.name && new.format == old.format && new.storedShape == old.storedShape)
      let stored = file.storedBytes(new).withUnsafeBytes(Array.init)
      guard new.name.hasSuffix("attn1.to_q.weight") || new.name.hasSuffix("attn1.to_k.weight") else {
        #expect(stored == base.storedBytes(old).withUnsafeBytes(Array.init), "\(new.name)")
        continue
      }
      let exact = try #require(sums[new.name])
      let expected =
        new.format == .q8_0 ? blocks(exact.floats()) : bytes(Tensor(exact.doubles(), shape: exact.shape, dtype: .f16))
      #expect(stored == expected, "\(new.name)")
    }
  }

  private func blocks(_ values: [Float]) -> [UInt8] {
    var blocks = [UInt8](repeating: 0, count: values.count / 32 * 34)
    values.withUnsafeBufferPointer { values in
      blocks.withUnsafeMutableBytes { BlockFormat.q8_0.encode(values, into: $0) }
    }
    return blocks
  }

  @Test("--dtype q8_0 quantises matrices of whole blocks, f16 takes the blocks apart; small tensors stay")
  func formats() throws {
    _ = try bake(recipe("mixed.gguf", toGGUF: true, blocks: .q8_0), to: "q.gguf")
    _ = try bake(recipe("mixed.gguf", dtype: .f16, toGGUF: true), to: "h.gguf")
    let quantised = try GGUFFile(MappedFile(path: folder.file("q.gguf")))
    let half = try GGUFFile(MappedFile(path: folder.file("h.gguf")))
    #expect(quantised.entries.map(\.format) == [.f16, .f32, .q8_0, .f16, .q8_0, .q8_0, .q8_0, .q8_0, .f32])
    #expect(half.entries.map(\.format) == [.f16, .f32, .f16, .f16, .f16, .f16, .f16, .f16, .f32])
    #expect(quantised["general.file_type"] == .unsigned(7) && half["general.file_type"] == .unsigned(1))
    #expect(half.entries[2].shape == [32, 8, 3, 3])
  }

  @Test("what survives in blocks is measured on the blocks", arguments: [false, true])
  func survival(requantises: Bool) throws {
    let result = try bake(recipe("mixed.gguf", toGGUF: true, requantises: requantises), to: "a.gguf")
    let entry = try #require(result.entries.first { $0.name.hasSuffix("to_q.weight") })
    let file = try GGUFFile(MappedFile(path: folder.file("a.gguf")))
    let base = try GGUFFile(MappedFile(path: Goldens.path("checkpoints/mixed.gguf")))
    let place = try #require(file.entries.firstIndex { $0.name == entry.name })
    let stored = file.tensor(file.entries[place]).doubles(), old = base.tensor(base.entries[place]).doubles()
    let delta = try #require(
      try BakePlan(recipe("mixed.gguf")).weights.delta(
        named: .init(.denoiser, "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"))
    ).doubles()
    let energy = delta.reduce(0) { $0 + $1 * $1 }
    let share = zip(zip(stored, old), delta).reduce(0) { $0 + ($1.0.0 - $1.0.1) * $1.1 } / energy
    #expect(abs(try #require(entry.survival.share) - share) <= (requantises ? 1e-12 : 1e-5))
    #expect(entry.survival.count == 1024)
    #expect(try #require(entry.survival.residual) > 0.001)
  }

  @Test("what cannot be is refused in a sentence") func refusals() throws {
    func message(_ recipe: BakeRecipe, _ output: String, undo: String? = nil) throws -> String {
      let error = #expect(throws: BakingError.self) {
        let plan = try BakePlan(recipe)
        try plan.checkDestination(folder.file(output), undo: undo.map(folder.file), overwriting: false)
      }
      return error?.description ?? ""
    }
    #expect(
      try message(recipe("zip.ckpt"), "a.safetensors", undo: "u").contains(
        "undo: expected a base of safetensors, or of GGUF with an output of GGUF, found a torch pickle"))
    #expect(
      try message(recipe("mixed.gguf"), "a.safetensors", undo: "u").contains(
        "undo: expected a base of safetensors, or of GGUF with an output of GGUF, found a GGUF file"))
    #expect(
      try message(recipe("mixed.safetensors", requantises: true), "a.safetensors").contains(
        "requantise: expected a base and an output of GGUF, found safetensors"))
    #expect(
      try message(recipe("zip.ckpt"), "a.ckpt").hasSuffix(
        "expected a name for safetensors, which is what comes out, found .ckpt; hint: end it in .safetensors"))
    #expect(
      try message(recipe("mixed.gguf", toGGUF: true), "a.safetensors").contains("expected a name for GGUF"))
    #expect(
      try message(recipe("zip.ckpt", toGGUF: true), "a.gguf").contains(
        "base: expected a GGUF file for an output of GGUF, found a torch pickle"))
    #expect(try message(recipe("folder", toGGUF: true), "a.gguf").contains("found a folder"))
    #expect(
      try message(recipe("mixed.gguf", blocks: .q8_0), "a.safetensors").contains(
        "dtype q8_0: expected an output of GGUF, found safetensors"))
    #expect(
      try message(recipe("mixed.gguf", dtype: .f8e4m3, toGGUF: true), "a.gguf").contains(
        "dtype: expected f32, f16, bf16 or blocks such as q8_0 for GGUF, found f8_e4m3"))
    for rounding in [Rounding.shaped, .stochastic] {
      #expect(
        try message(recipe("mixed.gguf", toGGUF: true, rounding: rounding, requantises: true), "a.gguf").contains(
          "expected nearest rounding for new blocks of Q8_0, found \(rounding.rawValue)"))
    }
  }

  @Test("a bake of strength 0 makes safetensors of a pickle, whose bakes can be undone") func conversion() throws {
    _ = try bake(recipe("legacy.ckpt", strength: 0), to: "base.safetensors")
    let base = try SafetensorsFile(path: folder.file("base.safetensors"))
    let model = try SafetensorsFile(path: Goldens.path("checkpoints/model.safetensors"))
    #expect(base.data.withUnsafeBytes(Array.init) == model.data.withUnsafeBytes(Array.init))
    let plan = try BakePlan(BakeRecipe(base: base.path, inputs: [AdapterInput(path: try adapter())]))
    _ = try plan.write(
      to: folder.file("baked.safetensors"), undo: folder.file("undo"), overwriting: false, threads: 2)
    let unbake = try Unbake(baked: folder.file("baked.safetensors"), undo: UndoFile(path: folder.file("undo")))
    _ = try unbake.write(to: folder.file("again.safetensors"), overwriting: false, threads: 2)
    #expect(try folder.bytes(of: "again.safetensors") == folder.bytes(of: "base.safetensors"))
  }
}
