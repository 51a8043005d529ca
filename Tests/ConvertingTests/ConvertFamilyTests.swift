import Adapters
import Checkpoints
import Models
import TestSupport
import Testing

@testable import Converting
@testable import Factoring

/// Proves that names are translated only by the map of a family that is known: from names and shapes, or because the user
/// says it.
@Suite struct ConvertFamilyTests {
  private func adapter(_ targets: [(String, Int, Int)], _ folder: TemporaryFolder) throws -> String {
    var pico = Pico(seed: 3, .diffusers)
    for (name, rows, inputs) in targets { pico.add(name, rows: rows, inputs: inputs, rank: 2) }
    return try pico.write(to: folder.file("a.safetensors")).path
  }

  private func convert(
    _ path: String, _ format: AdapterFormat, family: Family? = nil, allows: Bool = false, _ folder: TemporaryFolder
  ) throws -> Converting {
    try Converting(
      ConvertRecipe(path: path, format: format, family: family, allowsUnmatched: allows),
      to: folder.file("\(format).safetensors"))
  }

  @Test("A module that the family's map does not have is refused by name, or left out and told")
  func closed() throws {
    let folder = try TemporaryFolder(), block = "diffusion_model.double_blocks.0."
    let path = try adapter(
      [(block + "img_mlp.0", 64, 16), (block + "img_gate", 16, 16)], folder)
    let error = #expect(throws: FactoringError.self) { try convert(path, .diffusers, family: .flux1, folder) }
    #expect(error?.description.contains("double_blocks.0.img_gate: name: expected one") == true)
    let run = try convert(path, .diffusers, family: .flux1, allows: true, folder)
    #expect(run.targets.map(\.name) == ["transformer.transformer_blocks.0.ff.net.0.proj"])
    #expect(run.plan.skipped.count == 1 && run.plan.skipped[0].contains("double_blocks.0.img_gate"))
  }

  @Test("Where several families fit, the one that is told counts")
  func told() throws {
    let folder = try TemporaryFolder()
    let path = try adapter([("transformer.transformer_blocks.0.attn.to_q", 3072, 3072)], folder)
    #expect(try Adapter(path: path).candidates == [.flux1, .flux2, .qwenImage])
    #expect(throws: FactoringError.self) { try convert(path, .kohya, folder) }
    let qwen = try convert(path, .kohya, family: .qwenImage, folder)
    #expect(qwen.targets.map(\.name) == ["lora_unet_transformer_blocks_0_attn_to_q"])
    #expect(qwen.output[metadata: "lathe.recipe"]?.contains("Qwen-Image") == true)
  }

  @Test("Where several families fit that have the same names, it does not matter which it is")
  func agreement() throws {
    let folder = try TemporaryFolder()
    let path = try adapter([("diffusion_model.double_blocks.0.img_attn.qkv", 9216, 3072)], folder)
    let run = try convert(path, .diffusers, folder)
    #expect(
      Set(run.targets.map(\.name)) == Set(["q", "k", "v"].map { "transformer.transformer_blocks.0.attn.to_\($0)" }))
  }

  @Test("T5 has the number of diffusers' pipeline in diffusers' names, and is the third encoder in kohya's")
  func numberOfT5() throws {
    let folder = try TemporaryFolder(), module = "encoder.block.0.layer.0.SelfAttention.q"
    let path = try adapter(
      [
        ("diffusion_model.double_blocks.0.img_mlp.0", 12288, 3072),
        ("text_encoders.t5xxl.transformer." + module, 64, 64),
      ],
      folder)
    let diffusers = try convert(path, .diffusers, folder)
    #expect(diffusers.targets.map(\.name).contains("text_encoder_2." + module))
    let kohya = try convert(folder.file("diffusers.safetensors"), .kohya, folder)
    #expect(kohya.targets.map(\.name).contains("lora_te3_encoder_block_0_layer_0_SelfAttention_q"))
  }

  @Test("T5 under two numbers, which are one module, is told as such")
  func twoNumbersOfT5() throws {
    let folder = try TemporaryFolder(), module = "encoder.block.0.layer.0.SelfAttention.q"
    let path = try adapter(
      [
        ("transformer.transformer_blocks.0.attn.to_q", 3072, 3072), ("text_encoder_2." + module, 64, 64),
        ("text_encoder_3." + module, 64, 64),
      ], folder)
    let error = #expect(throws: FactoringError.self) { try convert(path, .kohya, family: .flux1, folder) }
    #expect(
      error?.description == "\(path): text_encoder_2.\(module): expected one name for each module, found "
        + "text_encoder_3.\(module) beside it, which means the same one")
  }

  @Test("Within a dialect T5 stays where it is, whatever the family")
  func keptNumberOfT5() throws {
    let folder = try TemporaryFolder(), module = "text_encoder_2.encoder.block.0.layer.0.SelfAttention.q"
    let path = try adapter([("transformer.transformer_blocks.0.attn.to_q", 3072, 3072), (module, 64, 64)], folder)
    #expect(try Adapter(path: path).family == .unknown)
    let run = try Converting(ConvertRecipe(path: path, normalises: true), to: folder.file("even.safetensors"))
    #expect(run.targets.map(\.name).contains(module))
  }

  @Test("A family that is told against names and shapes is a warning")
  func contradiction() throws {
    let folder = try TemporaryFolder()
    let path = try adapter([("diffusion_model.double_blocks.0.img_mlp.0", 12288, 3072)], folder)
    let run = try convert(path, .diffusers, family: .flux2, folder)
    #expect(run.targets.map(\.name) == ["transformer.transformer_blocks.0.ff.linear_in"])
    #expect(run.plan.notes.contains { $0.text.contains("a Flux.2 adapter, as told; names and shapes say Flux.1") })
  }

  @Test("Families by the names that users write")
  func names() {
    #expect(Family(named: "flux1") == .flux1 && Family(named: "Flux.2") == .flux2 && Family(named: "LTX-Video") == .ltx)
    #expect(Family(named: "hunyuanvideo") == .hunyuanVideo && Family(named: "SD1.x") == .sd1)
    #expect(Family(named: "sd15") == nil && Family(named: "unknown") == nil && Family(named: "language model") == nil)
    for family in Family.withNames { #expect(Family(named: family.optionName) == family) }
  }
}
