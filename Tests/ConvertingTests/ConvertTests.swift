import Adapters
import Files
import FoundationEssentials
import Metadata
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Converting
@testable import Factoring

/// Proves what becomes of scales, number formats, bundled embeddings and refused targets.
@Suite struct ConvertTests {
  private let attention = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_"

  private func error(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing was refused"
  }

  private func source(
    _ folder: TemporaryFolder, alphas: [Double?] = [2, 2], dtype: DType = .f32, size: Double = 1
  ) throws -> Adapter {
    var pico = Pico(seed: 11)
    for (index, alpha) in alphas.enumerated() {
      pico.add(
        attention + ["q", "k", "v"][index], rows: 10, inputs: 9, rank: 4, alpha: alpha, dtype: dtype, size: size)
    }
    return try pico.write(to: folder.file("a.safetensors"))
  }

  @Test("A power of two loses nothing, however small the factors are", arguments: [DType.f32, .f16, .bf16])
  func powers(dtype: DType) throws {
    let folder = try TemporaryFolder(), source = try source(folder, alphas: [0.0625, 64], dtype: dtype, size: 1e-4)
    let run = try Converting(ConvertRecipe(source.path, .diffusers), to: folder.file("b.safetensors"))
    #expect(run.result.entries.allSatisfy { $0.relativeError == 0 })
    for new in run.targets {
      let old = try #require(source.targets.first { $0.key == new.key })
      #expect(new.scale == 1 && new.up.dtype == dtype)
      #expect(relativeDifference(new.dense, old.dense) < 1e-15, "\(old.name)")
    }
  }

  @Test("Another scale costs one rounding, which is measured", arguments: [DType.f32, .f16, .bf16])
  func rounding(dtype: DType) throws {
    let folder = try TemporaryFolder(), source = try source(folder, alphas: [3, 5], dtype: dtype)
    let run = try Converting(ConvertRecipe(source.path, .diffusers), to: folder.file("b.safetensors"))
    for entry in run.result.entries {
      let old = try #require(source.targets.first { $0.name == entry.name }), error = try #require(entry.relativeError)
      let difference = relativeDifference(try run.target(entry.newName).dense, old.dense)
      #expect(error > 0 && error < dtype.unitRoundoff!)
      #expect(abs(error - difference) <= 1e-3 * error + 1e-12)
    }
    let wide = try Converting(ConvertRecipe(source.path, .diffusers, dtype: .f32), to: folder.file("c.safetensors"))
    // Half precision times a small odd number fits single precision.
    if dtype != .f32 { #expect(wide.result.entries.allSatisfy { $0.relativeError == 0 }) }
  }

  @Test("Only one side is changed, so that the other keeps its bits")
  func oneSide() throws {
    let folder = try TemporaryFolder(), source = try source(folder, alphas: [3])
    let run = try Converting(ConvertRecipe(source.path, .diffusers), to: folder.file("b.safetensors"))
    let ups = run.targets[0].up.doubles() == source.targets[0].up.doubles()
    let downs = run.targets[0].down.doubles() == source.targets[0].down.doubles()
    #expect(ups != downs)
  }

  @Test("No effect stays none")
  func zeroAlpha() throws {
    let folder = try TemporaryFolder(), source = try source(folder, alphas: [0, 4])
    for (format, name) in [(AdapterFormat.diffusers, "b.safetensors"), (.peft, "b"), (.kohya, "c.safetensors")] {
      let run = try Converting(
        ConvertRecipe(source.path, format, normalises: format == .kohya), to: folder.file(name))
      let key = try #require(source.targets.first { $0.scale == 0 }).key
      #expect(try #require(run.targets.first { $0.key == key }).dense.allSatisfy { $0 == 0 })
      #expect(run.result.entries.allSatisfy { $0.relativeError == 0 })
    }
  }

  @Test("Eight bits with an alpha keep it; without one they become sixteen")
  func eightBits() throws {
    let folder = try TemporaryFolder(), source = try source(folder, alphas: [2, 2])
    let small = try Converting(ConvertRecipe(source.path, .kohya, dtype: .f8e4m3), to: folder.file("b.safetensors"))
    for entry in small.result.entries { #expect(try #require(entry.relativeError) < 0.08) }
    #expect(small.targets.allSatisfy { $0.up.dtype == .f8e4m3 })
    let run = try Converting(ConvertRecipe(folder.file("b.safetensors"), .diffusers), to: folder.file("c.safetensors"))
    #expect(run.targets.allSatisfy { $0.up.dtype == .f16 })
    #expect(run.result.entries.allSatisfy { $0.relativeError == 0 })
    let text = error {
      _ = try Converting(ConvertRecipe(source.path, .diffusers, dtype: .f8e4m3), to: folder.file("d.safetensors"))
    }
    #expect(text.contains("factors need an alpha"))
  }

  @Test("Bundled embeddings get files beside the output")
  func embeddings() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 12)
    pico.add(attention + "q", rows: 8, inputs: 8, rank: 2, alpha: 2)
    pico.add("bundle_emb.my style.string_to_param.*", [3, 8], .f16, (0..<24).map { Double($0) })
    pico.add("bundle_emb.other.clip_l", [1, 8], .f32, (0..<8).map { Double($0) })
    pico.add("bundle_emb.other.clip_g", [1, 12], .f32, (0..<12).map { Double($0) })
    try pico.write(to: path)
    let run = try Converting(ConvertRecipe(path, .diffusers), to: folder.file("b.safetensors"))
    let files = run.result.splitOut.sorted()
    #expect(files == [folder.file("b-my_style.safetensors"), folder.file("b-other.safetensors")])
    let first = try SafetensorsFile(path: files[0])
    #expect(try #require(first["string_to_param.*"]).doubles() == (0..<24).map { Double($0) })
    #expect(first.entries.map(\.dtype) == [.f16])
    #expect(first.metadata.contains { $0.key == "name" && $0.value == "my style" })
    #expect(try SafetensorsFile(path: files[1]).entries.map(\.name).sorted() == ["clip_g", "clip_l"])
    #expect(run.output.passedThrough.isEmpty)
    let text = error { _ = try Converting(ConvertRecipe(path, .diffusers), to: folder.file("b.safetensors")) }
    #expect(text.contains("exists already"))
  }

  @Test("Embeddings whose files would have one name are refused")
  func embeddingNames() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 12)
    pico.add(attention + "q", rows: 8, inputs: 8, rank: 2, alpha: 2)
    for name in ["a b", "a/b"] { pico.add("bundle_emb.\(name).emb_params", [1, 2], .f32, [1, 2]) }
    try pico.write(to: path)
    #expect(
      error { _ = try ConvertPlan(ConvertRecipe(path, .kohya)) }.contains("tokens whose files can have different names")
    )
  }

  @Test("A module that is not known is refused by name, or left out")
  func unnamed() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 13)
    pico.add(attention + "q", rows: 8, inputs: 8, rank: 2, alpha: 2)
    pico.add("lora_unet_brand_new_thing", rows: 8, inputs: 8, rank: 2, alpha: 2)
    try pico.write(to: path)
    let text = error { _ = try ConvertPlan(ConvertRecipe(path, .diffusers)) }
    #expect(
      text
        == "\(path): lora_unet_brand_new_thing: name: expected one that the diffusers dialect has, found none: "
        + "the model's family is not known, and with it the names of the other dialect")
    let run = try Converting(ConvertRecipe(path, .diffusers, allows: true), to: folder.file("b.safetensors"))
    #expect(run.targets.count == 1 && run.plan.skipped.count == 1)
    // Kohya's own name needs no translation.
    #expect(try Converting(ConvertRecipe(path, .kohya), to: folder.file("c.safetensors")).targets.count == 2)
  }

  @Test("Language models have names in PEFT only")
  func languageModel() throws {
    let folder = try TemporaryFolder(), path = DialectGolden.all.first { $0.file == "peft_plain" }!.path
    #expect(error { _ = try ConvertPlan(ConvertRecipe(path, .kohya)) }.contains("it belongs to a language model"))
    let run = try Converting(ConvertRecipe(path, .peft, normalises: true), to: folder.file("b"))
    #expect(run.targets.allSatisfy { $0.scale == 1 && $0.alpha == Double($0.rank) })
    #expect(run.output.configuration?["lora_alpha"] == .int(2))
  }

  @Test("A factor that is not finite stops everything, and nothing is left")
  func notFinite() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 14)
    pico.add(attention + "q", rows: 8, inputs: 8, rank: 2, alpha: 2)
    pico.change(attention + "q.lora_up.weight") { $0[3] = .nan }
    try pico.write(to: folder.file("a.safetensors"))
    for name in ["b.safetensors", "b"] {
      let text = error {
        _ = try Converting(
          ConvertRecipe(folder.file("a.safetensors"), name == "b" ? .peft : .diffusers), to: folder.file(name))
      }
      #expect(text.contains("expected finite numbers, found 1"))
    }
    #expect(try folder.names == ["a.safetensors"])
  }

  @Test("Several networks become folders of one PEFT adapter each")
  func networks() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 15)
    pico.add(attention + "q", rows: 8, inputs: 8, rank: 2, alpha: 1)
    pico.add("lora_te_text_model_encoder_layers_0_mlp_fc1", rows: 8, inputs: 8, rank: 3, alpha: 1)
    let source = try pico.write(to: path)
    let run = try Converting(ConvertRecipe(path, .peft), to: folder.file("b"))
    #expect(run.outputs.map(\.path) == [folder.file("b/unet"), folder.file("b/text_encoder")])
    #expect(run.outputs[1].targets.map(\.name) == ["base_model.model.text_model.encoder.layers.0.mlp.fc1"])
    let back = try Converting(ConvertRecipe(folder.file("b"), .kohya), to: folder.file("c.safetensors"))
    #expect(Set(back.targets.map(\.name)) == Set(source.targets.map(\.name)))
    for (old, new) in zip(source.targets, back.targets) where old.name == new.name { #expect(old.dense == new.dense) }
    #expect(error { _ = try Converting(ConvertRecipe(path, .peft), to: folder.file("b")) }.contains("exists already"))
  }

  @Test("The recipe, the training's metadata and right hashes are in the output")
  func metadata() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 16)
    pico.add(attention + "q", rows: 8, inputs: 8, rank: 2, alpha: 3)
    pico.metadata = [
      ("ss_tag_frequency", "{}"), ("sshs_model_hash", "stale"), ("ss_network_dim", "77"), ("ss_network_alpha", "1"),
    ]
    try pico.write(to: path)
    let run = try Converting(ConvertRecipe(path, .diffusers), to: folder.file("b.safetensors"))
    #expect(run.output[metadata: "ss_tag_frequency"] == "{}")
    #expect(run.output[metadata: "ss_network_dim"] == "2" && run.output[metadata: "ss_network_alpha"] == "2")
    #expect(run.output[metadata: "lathe.recipe"]?.contains(#""operation":"convert""#) == true)
    let file = try SafetensorsFile(path: folder.file("b.safetensors"))
    #expect(run.output[metadata: "sshs_model_hash"] == ContentHash.sha256(file.data))
    #expect(MetadataHashes(of: file).entries(for: file.metadata).allSatisfy { $0.matches })
    #expect(run.result.bytes == run.output.byteCount)
    #expect(try ConvertPlan(ConvertRecipe(path, .diffusers)).prediction(output: "x").bytes == run.result.bytes)
  }

  @Test("An adapter in memory is converted as its file is, to the byte")
  func inMemory() throws {
    let folder = try TemporaryFolder(), stored = try source(folder, alphas: [3, 2])
    let file = try SafetensorsFile(path: stored.path)
    let own = try Adapter(tensors: file.entries.map { ($0.name, file.tensor($0)) }, title: "a.safetensors")
    let run = try Converting(ConvertRecipe(stored.path, .diffusers), to: folder.file("b.safetensors"))
    let plan = try ConvertPlan(ConvertRecipe(converting: own, to: .diffusers), adapter: own)
    let result = try plan.write(to: folder.file("c.safetensors"), overwriting: false, threads: 2)
    #expect(result.entries.map(\.relativeError) == run.result.entries.map(\.relativeError))
    #expect(try folder.bytes(of: "c.safetensors") == folder.bytes(of: "b.safetensors"))
  }

  @Test("SDXL's first upsampler stands behind the attention in the authors' names")
  func upsampler() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    for (context, place) in [(2048, 2), (768, 1)] {
      var pico = Pico(seed: 19)
      pico.add(
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", rows: 8, inputs: context, rank: 2)
      pico.add("lora_unet_up_blocks_0_upsamplers_0_conv", rows: 8, inputs: 8, rank: 2)
      try pico.write(to: path)
      let run = try Converting(ConvertRecipe(path, .native), to: folder.file("b.safetensors"), overwriting: true)
      #expect(run.targets.map(\.name).contains("diffusion_model.output_blocks.2.\(place).conv"))
    }
  }
}
