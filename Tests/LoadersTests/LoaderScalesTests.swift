import Adapters
import Loaders
import TestSupport
import Testing

/// Proves the scales that loaders would apply; `Tests/Interop` asks diffusers and PEFT themselves.
@Suite struct LoaderScalesTests {
  private func adapter(
    _ targets: [(name: String, alpha: Double?)], rank: Int = 2, dotted: Bool = false, scale: Double? = nil
  ) throws -> Adapter {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var tensors: [NamedValues] = []
    for (name, alpha) in targets {
      tensors.append(filler(name + (dotted ? ".lora_B.weight" : ".lora_up.weight"), [8, rank]))
      tensors.append(filler(name + (dotted ? ".lora_A.weight" : ".lora_down.weight"), [rank, 8]))
      if let alpha { tensors.append((name + ".alpha", [], .f32, [alpha])) }
      if let scale { tensors.append((name + ".scale", [], .f32, [scale])) }
    }
    try writeAdapter(to: path, tensors: tensors)
    return try Adapter(path: path)
  }

  private let block = "lora_unet_down_blocks_0_attentions_0_"
  private var query: String { block + "transformer_blocks_0_attn1_to_q" }
  private var key: String { block + "transformer_blocks_0_attn1_to_k" }

  private func scales(_ adapter: Adapter, _ target: String) throws -> [LoaderScales.Loader: Double] {
    try #require(LoaderScales(of: adapter).rows.first { $0.target == target }).scales
  }

  @Test("One alpha is read by all")
  func plain() throws {
    let adapter = try adapter([(query, 1), (key, 1)])
    #expect(try scales(adapter, query) == [.sdScripts: 0.5, .diffusers: 0.5, .comfyui: 0.5, .a1111: 0.5])
    #expect(LoaderScales(of: adapter).disagreements.isEmpty && LoaderScales(of: adapter).problems(in: adapter).isEmpty)
  }

  @Test("No alpha at all is 1 everywhere")
  func noAlpha() throws {
    let adapter = try adapter([(query, nil), (key, nil)])
    #expect(Set(try scales(adapter, query).values) == [1])
  }

  @Test("Alpha 0 is rank for trainers")
  func zero() throws {
    let adapter = try adapter([(query, 0), (key, 0)])
    #expect(try scales(adapter, query) == [.sdScripts: 1, .diffusers: 0, .comfyui: 0, .a1111: 0])
    #expect(
      LoaderScales(of: adapter).problems(in: adapter)[0].description.hasSuffix(
        "scale: expected the same in every loader, found 1 in sd-scripts, 0 in diffusers and comfyui and a1111"))
  }

  @Test("Diffusers gives attention the commonest alpha, and other layers their own")
  func mixed() throws {
    let adapter = try adapter([(query, 1), (key, 4), (block + "proj_in", 4), (block + "proj_out", 2)])
    #expect(try scales(adapter, query)[.diffusers] == 2)
    #expect(try scales(adapter, query)[.comfyui] == 0.5)
    #expect(try scales(adapter, block + "proj_out")[.diffusers] == 1)
    #expect(LoaderScales(of: adapter).disagreements.map(\.target) == [query])
  }

  @Test("A scale tensor is A1111's own")
  func scaleTensor() throws {
    let adapter = try adapter([(query, 1)], scale: 0.25)
    #expect(try scales(adapter, query) == [.sdScripts: 0.5, .comfyui: 0.5, .a1111: 0.25])
  }

  @Test("Dotted names of UNets: ComfyUI passes attention over, others read nothing")
  func dotted() throws {
    let attention = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    let adapter = try adapter([(attention, nil), ("unet.down_blocks.0.attentions.0.proj_in", nil)], dotted: true)
    #expect(try scales(adapter, attention) == [.diffusers: 1])
    #expect(try scales(adapter, "unet.down_blocks.0.attentions.0.proj_in") == [.diffusers: 1, .comfyui: 1])
    #expect(
      LoaderScales(of: adapter).refusals.keys.sorted { $0.rawValue < $1.rawValue } == [.a1111, .peft, .sdScripts])
  }

  @Test("Diffusers stops at its own names where of a text encoder only the perceptrons change")
  func perceptrons() throws {
    let query = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    let layer = "text_encoder.text_model.encoder.layers.0."
    let adapter = try adapter([(query, nil), (layer + "mlp.fc1", nil)], dotted: true)
    #expect(LoaderScales(of: adapter).refusals[.diffusers] == "stops at the text encoder 1, of which only mlp changes")
    let more = try self.adapter(
      [(query, nil), (layer + "mlp.fc1", nil), (layer + "self_attn.q_proj", nil)], dotted: true)
    #expect(LoaderScales(of: more).refusals[.diffusers] == nil)
    #expect(try scales(more, layer + "mlp.fc1")[.diffusers] == 1)
  }

  @Test("What a cut makes a loader pass over is counted")
  func lost() throws {
    let layer = "lora_te_text_model_encoder_layers_0_"
    let (input, output) = (layer + "self_attn_q_proj", layer + "self_attn_out_proj")
    let before = LoaderScales(of: try adapter([(query, 1), (input, 1), (output, 1), (layer + "mlp_fc1", 1)]))
    let after = LoaderScales(of: try adapter([(query, 1), (input, 1), (layer + "mlp_fc1", 1)]))
    let lost = after.lost(since: before)
    #expect(lost.map(\.loader) == [.diffusers] && lost.map(\.count) == [1])
    #expect(after.lost(since: after).isEmpty && before.lost(since: after).isEmpty)
  }

  @Test("Names without a network load nowhere but in ComfyUI")
  func bare() throws {
    let golden = try #require(DialectGolden.all.first { $0.file == "diffusers_oldest.safetensors" })
    let scales = LoaderScales(of: try Adapter(path: golden.path))
    #expect(scales.rows.allSatisfy { $0.scales == [.comfyui: 1] })
  }

  @Test("A PEFT configuration is read by PEFT")
  func configuration() throws {
    let adapter = try Adapter(path: try #require(DialectGolden.all.first { $0.file == "peft_rslora" }).path)
    for (row, target) in zip(LoaderScales(of: adapter).rows, adapter.targets) {
      #expect(row.scales == [.peft: target.scale])
    }
  }
}
