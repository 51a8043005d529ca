import Adapters
import Tensors
import TestSupport
import Testing

@testable import Converting
@testable import Factoring

/// Proves that fused projections are split, and split ones fused, without changing the delta, against dense rows.
@Suite struct ConvertProjectionTests {
  private let fused = "lora_unet_double_blocks_0_img_attn_qkv"
  private let parts = ["to_q", "to_k", "to_v"].map { "transformer.transformer_blocks.0.attn.\($0)" }

  /// A target that tells the family.
  private func tell(_ pico: inout Pico, kohya: Bool) {
    let name = kohya ? "lora_unet_single_blocks_9_linear2" : "transformer.single_transformer_blocks.9.proj_out"
    pico.add(name, rows: 12, inputs: 60, rank: 2, alpha: kohya ? 2 : nil)
  }

  @Test("A fused projection becomes three with one down factor, and the same file again")
  func split() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 5)
    pico.add(fused, rows: 36, inputs: 12, rank: 4, alpha: 4)
    tell(&pico, kohya: true)
    let source = try #require(try pico.write(to: path).targets.first { $0.name == fused }), dense = source.dense
    let run = try Converting(ConvertRecipe(path, .diffusers), to: folder.file("b.safetensors"))
    for (index, name) in parts.enumerated() {
      let target = try run.target(name)
      #expect(target.rank == 4 && target.down.doubles() == source.down.doubles())
      #expect(target.dense == rows(index * 12..<index * 12 + 12, of: dense, columns: 12))
    }
    #expect(run.result.entries.count == 4)
    let back = try Converting(ConvertRecipe(folder.file("b.safetensors"), .kohya), to: folder.file("c.safetensors"))
    let target = try back.target(fused)
    #expect(target.up.doubles() == source.up.doubles() && target.rank == 4 && target.alpha == 4)
  }

  @Test("Different down factors are stacked, ups stand on the diagonal, and splitting finds the blocks again")
  func fuse() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 6, .diffusers)
    for (name, rank) in zip(parts, [2, 3, 4]) { pico.add(name, rows: 12, inputs: 12, rank: rank) }
    tell(&pico, kohya: false)
    let all = try pico.write(to: path).targets,
      source = try parts.map { name in try #require(all.first { $0.name == name }) }
    let run = try Converting(ConvertRecipe(path, .kohya), to: folder.file("b.safetensors")),
      target = try run.target(fused)
    #expect(target.rank == 9 && target.scale == 1 && target.alpha == 9)
    #expect(target.dense == source.flatMap(\.dense))
    #expect(run.result.entries.count { $0.newName == fused } == 3)
    let back = try Converting(ConvertRecipe(folder.file("b.safetensors"), .diffusers), to: folder.file("c.safetensors"))
    for old in source {
      let target = try back.target(old.name)
      #expect(target.rank == old.rank && target.up.doubles() == old.up.doubles())
    }
    #expect(back.output[metadata: "lora_adapter_metadata"]?.contains("rank_pattern") == true)
  }

  @Test("Parts that are missing are rows of zeros")
  func missing() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 7, .diffusers)
    for name in ["to_q", "to_v"] {
      pico.add("transformer.single_transformer_blocks.3.attn.\(name)", rows: 8, inputs: 8, rank: 2)
    }
    pico.add("transformer.single_transformer_blocks.3.proj_out", rows: 8, inputs: 40, rank: 2)
    let source = try pico.write(to: path)
    let run = try Converting(ConvertRecipe(path, .kohya), to: folder.file("b.safetensors"))
    let target = try run.target("lora_unet_single_blocks_3_linear1")
    // Queries, keys and values of 8 rows, and four times as many of the perceptron.
    #expect(target.rows == 56)
    let zeros = { (count: Int) in [Double](repeating: 0, count: count * 8) }
    #expect(target.dense == source.targets[0].dense + zeros(8) + source.targets[1].dense + zeros(32))
    let back = try Converting(ConvertRecipe(folder.file("b.safetensors"), .diffusers), to: folder.file("c.safetensors"))
    #expect(Set(back.targets.map(\.name)) == Set(source.targets.map(\.name)))
    #expect(back.plan.notes.contains { $0.text.contains("has no effect on") })
  }

  @Test("Rows of unequal parts are found by the number of columns")
  func unequal() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 8)
    pico.add("lora_unet_single_blocks_0_linear1", rows: 56, inputs: 8, rank: 3, alpha: 1.5)
    let source = try pico.write(to: path)
    let run = try Converting(ConvertRecipe(path, .diffusers), to: folder.file("b.safetensors"))
    let perceptron = try run.target("transformer.single_transformer_blocks.0.proj_mlp")
    #expect(perceptron.dense == rows(24..<56, of: source.targets[0].dense, columns: 8))
    #expect(try run.target("transformer.single_transformer_blocks.0.attn.to_v").rows == 8)
  }

  @Test("Scales of parts that differ go into their own factors")
  func scales() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 9, .diffusers)
    for name in parts { pico.add(name, rows: 12, inputs: 12, rank: 2) }
    tell(&pico, kohya: false)
    pico.metadata = [
      (
        "lora_adapter_metadata",
        #"{"transformer.r":2,"transformer.lora_alpha":2,"transformer.alpha_pattern":{"transformer_blocks.0.attn.to_k":8}}"#
      )
    ]
    let all = try pico.write(to: path).targets,
      source = try parts.map { name in try #require(all.first { $0.name == name }) }
    #expect(source.map(\.scale) == [1, 4, 1])
    let run = try Converting(ConvertRecipe(path, .kohya), to: folder.file("b.safetensors"))
    #expect(try run.target(fused).dense == source.flatMap(\.dense))
    #expect(run.result.entries.allSatisfy { $0.relativeError == 0 })
  }

  @Test("Halves that stand in opposite order change places", arguments: [true, false])
  func halves(toDiffusers: Bool) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 10, toDiffusers ? .kohya : .diffusers)
    let names = ["lora_unet_final_layer_adaLN_modulation_1", "transformer.norm_out.linear"]
    tell(&pico, kohya: toDiffusers)
    pico.add(names[toDiffusers ? 0 : 1], rows: 12, inputs: 6, rank: 2)
    let source = try pico.write(to: path)
    let run = try Converting(ConvertRecipe(path, toDiffusers ? .diffusers : .kohya), to: folder.file("b.safetensors"))
    let dense = try #require(source.targets.first { names.contains($0.name) }).dense
    let target = try run.target(names[toDiffusers ? 1 : 0])
    #expect(target.dense == rows(6..<12, of: dense, columns: 6) + rows(0..<6, of: dense, columns: 6))
  }

  @Test("XLabs' first rows are queries, keys and values")
  func firstRows() throws {
    let folder = try TemporaryFolder(), golden = try #require(DialectGolden.all.first { $0.format == "xlabs" })
    let source = try Adapter(path: golden.path)
    let run = try Converting(ConvertRecipe(golden.path, .diffusers), to: folder.file("b.safetensors"))
    let part = try #require(source.targets.first { $0.name.hasSuffix("processor.qkv_lora") })
    let block = part.name.split(separator: ".")[1], size = part.rows / 3
    for (index, name) in ["to_q", "to_k", "to_v"].enumerated() {
      let target = try run.target("transformer.single_transformer_blocks.\(block).attn.\(name)")
      #expect(target.dense == rows(index * size..<(index + 1) * size, of: part.dense, columns: part.columns))
    }
  }

  @Test("Without a family there are no names in the other dialect")
  func unknownFamily() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 10, .diffusers)
    pico.add(parts[0], rows: 6, inputs: 6, rank: 2)
    try pico.write(to: path)
    #expect(throws: FactoringError.self) { try ConvertPlan(ConvertRecipe(path, .kohya)) }
  }
}
