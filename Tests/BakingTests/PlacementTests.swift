import Factoring
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that deltas land in the right rows of the right weight: fused projections, swapped halves, transposed matrices,
/// several dialects at once.
@Suite struct PlacementTests {
  private let bench: Bench

  init() throws { bench = try Bench() }

  private func single(_ weight: NamedValues) -> [Double] {
    Tensor(weight.values, shape: Shape(weight.shape), dtype: weight.dtype).doubles()
  }

  @Test("two dialects meet in one weight")
  func dialects() throws {
    let weight = filler(
      "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", [8, 768], seed: 3)
    try bench.base([weight, filler("model.diffusion_model.input_blocks.0.0.weight", [8, 4, 3, 3])])
    let ends = (up: ".lora_B.weight", down: ".lora_A.weight")
    let names = [
      "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
      "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k",
      "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    ]
    var expected = single(weight), inputs: [AdapterInput] = []
    for (index, name) in names.enumerated() {
      let change =
        index == 2
        ? Change(name, 8, 768, seed: 12, ends: ends) : Change(name, 8, 768, alpha: 1, seed: UInt64(10 + index))
      inputs.append(.init(path: try bench.adapter([change], "\(index).safetensors"), strength: Double(index) - 0.4))
      expected = plus(expected, change.delta, Double(index) - 0.4)
    }
    let result = try bench.bake(inputs)
    #expect(result.entries.count == 1 && result.entries[0].block == "input_blocks.1")
    #expect(relativeDifference(try bench.values(weight.name), expected) <= 2e-7)
  }

  @Test("one part of a fused projection: all other rows keep their bytes", arguments: [0, 1, 2])
  func fusedPart(part: Int) throws {
    let weight = filler("double_blocks.0.img_attn.qkv.weight", [12, 5], .bf16, seed: 3)
    try bench.base([weight, filler("double_blocks.0.img_attn.qkv.bias", [12], .bf16)])
    let change = Change(
      "transformer.transformer_blocks.0.attn.\(["to_q", "to_k", "to_v"][part])", 4, 5,
      ends: (".lora_B.weight", ".lora_A.weight"))
    // The whole projection by another adapter's own name must give the same rows.
    for rounding in Rounding.allCases {
      let result = try bench.bake([.init(path: bench.adapter([change]))], rounding: rounding)
      let found = try bench.bytes(weight.name), old = try bench.bytes(weight.name, "base.safetensors")
      let own = part * 40..<(part + 1) * 40
      #expect(found.indices.allSatisfy { own.contains($0) || found[$0] == old[$0] }, "\(rounding)")
      #expect(result.total.count == 20, "only the changed rows are counted")
      let expected = plus(Array(single(weight)[part * 20..<(part + 1) * 20]), change.delta)
      let rows = Array(try bench.values(weight.name)[part * 20..<(part + 1) * 20])
      let error = relativeDifference(rows, expected)
      #expect(error <= 1e-2 && error > 0, "\(rounding)")
    }
  }

  @Test("a whole fused projection and a part of it, from two adapters")
  func fusedBoth() throws {
    let weight = filler("double_blocks.0.img_attn.qkv.weight", [12, 5], seed: 3)
    try bench.base([weight])
    let whole = Change("lora_unet_double_blocks_0_img_attn_qkv", 12, 5, alpha: 1, seed: 4)
    let part = Change(
      "transformer.transformer_blocks.0.attn.to_k", 4, 5, seed: 5, ends: (".lora_B.weight", ".lora_A.weight"))
    for rounding in [Rounding.nearest, .shaped] {
      try bench.bake(
        [
          .init(path: bench.adapter([whole]), strength: 0.5),
          .init(path: bench.adapter([part], "2.safetensors"), strength: 2),
        ], dtype: rounding == .shaped ? .f16 : nil, rounding: rounding)
      var expected = plus(single(weight), whole.delta, 0.5)
      for place in 0..<20 { expected[20 + place] += 2 * part.delta[place] }
      let error = relativeDifference(try bench.values(weight.name), expected)
      #expect(error <= (rounding == .shaped ? 1e-3 : 2e-7))
    }
  }

  @Test("halves in the other order")
  func halves() throws {
    let weight = filler("final_layer.adaLN_modulation.1.weight", [8, 5], seed: 3)
    try bench.base([weight, filler("double_blocks.0.img_attn.qkv.weight", [12, 5])])
    let change = Change("transformer.norm_out.linear", 8, 5, ends: (".lora_B.weight", ".lora_A.weight"))
    try bench.bake([.init(path: bench.adapter([change]))])
    let swapped = Array(change.delta[20...] + change.delta[..<20])
    #expect(relativeDifference(try bench.values(weight.name), plus(single(weight), swapped)) <= 2e-7)
  }

  @Test("a transposed text projection")
  func textProjection() throws {
    let prefix = "conditioner.embedders.1.model."
    let weight = filler(prefix + "text_projection", [4, 6], seed: 3)
    try bench.base([
      weight, filler(prefix + "transformer.resblocks.0.mlp.c_fc.weight", [4, 4]),
      filler("model.diffusion_model.input_blocks.0.0.weight", [4, 4, 3, 3]),
      filler("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [4, 2048]),
    ])
    let change = Change("lora_te2_text_projection", 6, 4, alpha: 1)
    try bench.bake([.init(path: bench.adapter([change]), strength: 0.5)])
    let expected = plus(single(weight), Dense.transposed(change.delta, rows: 6, columns: 4), 0.5)
    #expect(relativeDifference(try bench.values(weight.name), expected) <= 2e-7)
  }

  @Test("rows of an OpenCLIP projection")
  func openCLIP() throws {
    let prefix = "conditioner.embedders.1.model.transformer.resblocks.0."
    let weight = filler(prefix + "attn.in_proj_weight", [12, 4], .f16, seed: 3)
    try bench.base([
      weight, filler(prefix + "attn.in_proj_bias", [12], .f16),
      filler("model.diffusion_model.input_blocks.0.0.weight", [4, 4, 3, 3], .f16),
      filler("model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [4, 2048], .f16),
    ])
    let change = Change("lora_te2_text_model_encoder_layers_0_self_attn_v_proj", 4, 4, alpha: 1)
    try bench.bake([.init(path: bench.adapter([change]))])
    var expected = single(weight)
    for place in 0..<16 { expected[32 + place] += change.delta[place] }
    #expect(relativeDifference(try bench.values(weight.name), expected) <= 1e-3)
    #expect(try bench.bytes(weight.name).prefix(64) == bench.bytes(weight.name, "base.safetensors").prefix(64))
  }

  @Test("GPT-2's matrices are stored the other way round", arguments: [true, false])
  func conv1D(isDeclared: Bool) throws {
    let weight = filler("h.0.attn.c_attn.weight", [5, 15], seed: 3)
    try bench.base([weight, filler("wte.weight", [7, 5])], "gpt2/model.safetensors")
    try bench.text(#"{"model_type": "gpt2"}"#, to: "gpt2/config.json")
    let change = Change(
      "base_model.model.transformer.h.0.attn.c_attn", 15, 5, ends: (".lora_B.weight", ".lora_A.weight"))
    try bench.adapter([change], "peft/adapter_model.safetensors")
    try bench.text(
      #"{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "fan_in_fan_out": \#(isDeclared)}"#,
      to: "peft/adapter_config.json")
    try bench.bake([.init(path: bench.path("peft"), strength: 2)], base: "gpt2", to: "out\(isDeclared)")
    let expected = plus(single(weight), Dense.transposed(change.delta, rows: 15, columns: 5), 2)
    let found = try bench.values(weight.name, "out\(isDeclared)/model.safetensors")
    #expect(relativeDifference(found, expected) <= 2e-7)
  }

  @Test("a configuration that says so of another model's square matrix is not believed, as PEFT does not")
  func wronglyDeclared() throws {
    let weight = filler("model.layers.0.self_attn.q_proj.weight", [5, 5], seed: 3)
    try bench.base([weight], "llama/model.safetensors")
    try bench.text(#"{"model_type": "llama"}"#, to: "llama/config.json")
    let change = Change(
      "base_model.model.model.layers.0.self_attn.q_proj", 5, 5, ends: (".lora_B.weight", ".lora_A.weight"))
    try bench.adapter([change], "peft/adapter_model.safetensors")
    try bench.text(
      #"{"peft_type": "LORA", "r": 2, "lora_alpha": 2, "fan_in_fan_out": true}"#, to: "peft/adapter_config.json")
    try bench.bake([.init(path: bench.path("peft"))], base: "llama", to: "square")
    let found = try bench.values(weight.name, "square/model.safetensors")
    #expect(relativeDifference(found, plus(single(weight), change.delta)) <= 2e-7)
  }

  @Test("XLabs' change of the first rows of a fused weight")
  func xlabs() throws {
    let weight = filler("single_blocks.0.linear1.weight", [20, 4], .bf16, seed: 3)
    try bench.base([weight, filler("double_blocks.0.img_attn.qkv.weight", [12, 4], .bf16)])
    let change = Change("single_blocks.0.processor.qkv_lora", 12, 4, ends: (".up.weight", ".down.weight"))
    try bench.bake([.init(path: bench.adapter([change]))])
    let expected = plus(Array(single(weight)[..<48]), change.delta)
    #expect(relativeDifference(Array(try bench.values(weight.name)[..<48]), expected) <= 1e-2)
    #expect(try bench.bytes(weight.name).dropFirst(96) == bench.bytes(weight.name, "base.safetensors").dropFirst(96))
  }

  @Test("a tied output layer changes the embedding too, and says so")
  func tied() throws {
    let weight = filler("model.embed_tokens.weight", [9, 5], seed: 3)
    try bench.base([weight], "llama/model.safetensors")
    try bench.text(#"{"model_type": "llama", "tie_word_embeddings": true}"#, to: "llama/config.json")
    let change = Change("base_model.model.lm_head", 9, 5, ends: (".lora_B.weight", ".lora_A.weight"))
    let adapter = try bench.adapter([change])
    let plan = try BakePlan(BakeRecipe(base: bench.path("llama"), inputs: [.init(path: adapter)]))
    #expect(
      plan.warnings.contains {
        $0.hasSuffix("lm_head is tied to model.embed_tokens.weight: a change to one is a change to both")
      })
    try bench.bake([.init(path: adapter)], base: "llama", to: "tied")
    let found = try bench.values(weight.name, "tied/model.safetensors")
    #expect(relativeDifference(found, plus(single(weight), change.delta)) <= 2e-7)
  }
}
