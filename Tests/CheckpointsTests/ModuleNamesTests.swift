import Checkpoints
import Models
import TestSupport
import Testing

/// Proves that names get their dots back and find the other dialect's names, without a checkpoint: against the names of
/// tiny models that diffusers' own converters made.
@Suite struct ModuleNamesTests {
  /// ComfyUI's names of HunyuanVideo and its kin are the authors' once their dots are gone.
  static let goldens = NameGolden.all.filter { golden in
    golden.network == .denoiser && golden.name != "hunyuan-video-repacked" && !golden.name.hasSuffix("-authors")
  }

  /// Modules with matrices or convolutions, which adapters can change.
  private func modules(_ shapes: [(name: String, rank: Int)]) -> [String] {
    shapes.filter { $0.rank >= 2 && $0.name.hasSuffix(".weight") }.map { String($0.name.dropLast(".weight".count)) }
  }

  private func flat(_ name: String) -> String { name.replacing(".", with: "_") }

  @Test(arguments: goldens) func dots(golden: NameGolden) throws {
    let family = try #require(Family(named: golden.family)),
      names = ModuleNames(family: family, component: .denoiser)
    for module in modules(golden.originalTensors.map { ($0.name, $0.shape.count) })
      + modules(golden.diffusers.map { ($0.key, $0.value.shape.count) })
    {
      #expect(names.dotted(flat(module)) == module)
    }
  }

  @Test(arguments: goldens) func counterparts(golden: NameGolden) throws {
    let family = try #require(Family(named: golden.family)),
      names = ModuleNames(family: family, component: .denoiser)
    let originals = Set(modules(golden.originalTensors.map { ($0.name, $0.shape.count) }))
    for module in modules(golden.diffusers.map { ($0.key, $0.value.shape.count) }) {
      let shape = golden.diffusers[module + ".weight"]!.shape, isLast = shape[0] == 2 * shape[1]
      let counterpart = names.counterpart(of: module, isLast: isLast)
      #expect(originals.contains(counterpart.original) || golden.unmapped.contains(module + ".weight"), "\(module)")
      let back = names.counterpart(of: counterpart.original, isLast: isLast)
      #expect(back.diffusers.contains(module), "\(module)")
    }
  }

  static let mapped = FamilyGolden.all.filter { $0.family != nil && $0.original != nil }

  @Test("Every module of a real model has its name in the other dialect, there and back", arguments: mapped)
  func realModels(golden: FamilyGolden) throws {
    let family = try #require(Family(named: golden.family!)),
      names = ModuleNames(family: family, component: .denoiser)
    let original = Set(golden.original!.map(\.name)), diffusers = Set(golden.diffusers.map(\.name))
    for module in golden.diffusers {
      let isLast = module.shape[0] == 2 * module.shape[1]
      let counterpart = names.counterpart(of: module.name, isLast: isLast)
      #expect(counterpart.isKnown && original.contains(counterpart.original), "\(module.name)")
      #expect(counterpart.diffusers.contains(module.name), "\(module.name)")
      #expect(names.dotted(flat(module.name)) == module.name)
    }
    for module in golden.original! {
      let counterpart = names.counterpart(of: module.name, isLast: module.shape[0] == 2 * module.shape[1])
      #expect(counterpart.isKnown && counterpart.original == module.name, "\(module.name)")
      #expect(diffusers.isSuperset(of: counterpart.diffusers), "\(module.name): \(counterpart.diffusers)")
      #expect(names.dotted(flat(module.name)) == module.name)
    }
  }

  @Test("Names that no map has are nobody's", arguments: mapped)
  func inventedNames(golden: FamilyGolden) throws {
    let family = try #require(Family(named: golden.family!)),
      names = ModuleNames(family: family, component: .denoiser)
    for module in golden.diffusers + golden.original! {
      for invented in [module.name + ".more", module.name + "x", "x" + module.name, "more." + module.name] {
        let counterpart = names.counterpart(of: invented, isLast: false)
        #expect(!counterpart.isKnown && counterpart.original == invented && counterpart.diffusers == [invented])
        #expect(names.dotted(flat(invented)) == nil, "\(invented)")
      }
    }
  }

  @Test("Names that are only read stand for names that are written")
  func onlyRead() {
    let names = ModuleNames(family: .hunyuanVideo15, component: .denoiser)
    let key = names.counterpart(of: "double_blocks.3.txt_attn_k", isLast: false)
    #expect(key.isOnlyRead && key.diffusers == ["transformer_blocks.3.attn.add_k_proj"])
    let written = names.written(for: key)
    #expect(
      written.map(\.original) == ["double_blocks.3.txt_attn.qkv"] && written[0].part == 1 && !written[0].isOnlyRead)
    let krea = ModuleNames(family: .krea2, component: .denoiser)
    let fused = krea.counterpart(of: "transformer_blocks.0.attn.to_qkv", isLast: false)
    #expect(
      fused.isOnlyRead && krea.written(for: fused).map(\.original) == ["q", "k", "v"].map { "blocks.0.attn.w\($0)" })
    #expect(krea.counterpart(of: "transformer_blocks.0.attn.to_k", isLast: false).original == "blocks.0.attn.wk")
  }

  @Test("The last block of SD3's text is told by its rows")
  func lastBlock() {
    let names = ModuleNames(family: .sd3, component: .denoiser)
    let last = names.counterpart(of: "joint_blocks.23.context_block.adaLN_modulation.1", isLast: true)
    #expect(last.diffusers == ["transformer_blocks.23.norm1_context.linear"])
    #expect(last.swapsHalves)
    #expect(!names.counterpart(of: "joint_blocks.23.context_block.adaLN_modulation.1", isLast: false).swapsHalves)
  }

  @Test(
    "Names of text encoders",
    arguments: [
      "encoder.layers.11.self_attn.out_proj", "text_projection", "encoder.layers.0.mlp.fc1",
      "encoder.block.3.layer.0.SelfAttention.q", "encoder.block.23.layer.1.DenseReluDense.wi_0",
    ])
  func textEncoders(module: String) {
    #expect(ModuleNames(family: .sdxl, component: .textEncoder1).dotted(flat(module)) == module)
  }

  @Test("Unknown words have no dots", arguments: ["some_new_thing_3", "", "down_blocks", "to_x"])
  func unknown(flat: String) {
    #expect(ModuleNames(family: .sd1, component: .denoiser).dotted(flat) == nil)
  }
}
