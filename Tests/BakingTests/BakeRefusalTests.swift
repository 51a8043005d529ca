import Adapters
import Factoring
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that what cannot be baked is refused in one sentence and leaves no output, and that what the user allows to be
/// left out is listed.
@Suite struct BakeRefusalTests {
  private let bench: Bench

  init() throws { bench = try Bench() }

  private func expectRefusal(_ expected: String, _ inputs: [AdapterInput], dtype: DType? = nil) throws {
    let before = try bench.folder.names
    let text = bench.refusal { try bench.bake(inputs, dtype: dtype, undo: "undo") }
    #expect(text == expected)
    #expect(!text.contains("\n"))
    #expect(try bench.folder.names == before)
  }

  private func simpleBase(_ dtype: DType = .f32, _ change: (inout [Double]) -> Void = { _ in }) throws {
    var tensor = filler("a.weight", [6, 5], dtype, seed: 3)
    change(&tensor.values)
    try bench.base([tensor])
  }

  @Test("NaN in a factor", arguments: [0, 1])
  func factor(which: Int) throws {
    try simpleBase()
    var change = Change("lora_unet_a", 6, 5)
    change.tensors[which].values[1] = .nan
    let count = which == 0 ? 5 : 6
    try expectRefusal(
      "adapter.safetensors: a.weight: expected finite F32 numbers, found \(count) NaN or infinite; the "
        + "\(["up", "down"][which]) factor of lora_unet_a is not finite", [.init(path: bench.adapter([change]))])
  }

  @Test("NaN or infinity in the base", arguments: [DType.f32, .f16, .bf16, .f8e5m2])
  func base(_ dtype: DType) throws {
    try simpleBase(dtype) {
      $0[3] = .nan
      $0[9] = -.infinity
    }
    try expectRefusal(
      "base.safetensors: a.weight: expected finite \(dtype.rawValue) numbers, found 2 NaN or infinite; the base itself "
        + "is not finite there", [.init(path: bench.adapter([Change("lora_unet_a", 6, 5)]))])
  }

  @Test("a target without a weight, with a wrong shape, of another algorithm; and what is done when that is allowed")
  func misfits() throws {
    try simpleBase()
    let good = Change("lora_unet_a", 6, 5), missing = Change("lora_unet_b", 6, 5), text = Change("lora_te_x", 2, 2)
    let shape = Change("lora_unet_a", 6, 4)
    let cases: [([Change], [NamedValues], String, target: String)] = [
      ([missing, good], [], "the checkpoint has no weight of this name", "lora_unet_b"),
      ([good, text], [], "the checkpoint has no text encoder 1", "lora_te_x"),
      ([shape, Change("lora_unet_c", 3, 3)], [], "shape: expected [6, 5], found [6, 4] (and 1 more)", "lora_unet_a"),
      (
        [good],
        [
          filler("lora_unet_d.a1.weight", [2, 2]), filler("lora_unet_d.a2.weight", [2, 2]),
          filler("lora_unet_d.b1.weight", [2, 2]), filler("lora_unet_d.b2.weight", [2, 2]),
        ], "this version cannot apply glora", "lora_unet_d"
      ),
    ]
    for (changes, others, reason, target) in cases {
      try writeAdapter(to: bench.path("adapter.safetensors"), tensors: changes.flatMap(\.tensors) + others)
      let input = AdapterInput(path: bench.path("adapter.safetensors"))
      let text = bench.refusal { try bench.bake([input]) }
      #expect(text.hasPrefix("adapter.safetensors: \(target): ") && !text.contains("\n"), "\(text)")
      if others.isEmpty {
        #expect(text == "adapter.safetensors: \(target): \(reason)")
      }
      #expect(try bench.folder.names == ["adapter.safetensors", "base.safetensors"])
      let plan = try BakePlan(
        BakeRecipe(base: bench.path("base.safetensors"), inputs: [input], allowsUnmatched: true))
      #expect(plan.skipped.first?.hasPrefix("\(input.path): \(target): ") == true, "\(plan.skipped)")
      #expect(plan.targetCount == (target == "lora_unet_a" ? 0 : 1))
    }
  }

  @Test("an unknown tensor and an embedding")
  func others() throws {
    try simpleBase()
    let good = Change("lora_unet_a", 6, 5)
    try writeAdapter(to: bench.path("adapter.safetensors"), tensors: good.tensors + [filler("what.is.this", [2])])
    let input = AdapterInput(path: bench.path("adapter.safetensors"))
    try expectRefusal(
      "adapter.safetensors: what.is.this: name: expected a known adapter tensor, found this one", [input])
    let unknown = try BakePlan(
      BakeRecipe(base: bench.path("base.safetensors"), inputs: [input], allowsUnknown: true))
    #expect(unknown.skipped == ["\(input.path): what.is.this"])

    let name = "bundle_emb.word.string_to_param.*"
    try writeAdapter(to: bench.path("adapter.safetensors"), tensors: good.tensors + [filler(name, [2, 4])])
    // No checkpoint has a place for it, so no option is needed to leave it out.
    let embedding = try BakePlan(BakeRecipe(base: bench.path("base.safetensors"), inputs: [input]))
    #expect(embedding.skipped == ["\(input.path): \(name): an embedding"])
  }

  @Test("an adapter for another family is told by its family")
  func family() throws {
    let weight = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    try bench.base([
      filler("model.diffusion_model.input_blocks.0.0.weight", [4, 4, 3, 3]), filler(weight, [8, 2048]),
    ])
    let change = Change("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 8, 768)
    let text = bench.refusal { try bench.bake([.init(path: bench.adapter([change]))]) }
    #expect(
      text == "adapter.safetensors: this is an SD1.x adapter; the checkpoint is SDXL"
    )
    #expect(try bench.folder.names == ["adapter.safetensors", "base.safetensors"])
  }

  @Test("strength 0 for the text encoder lets a base without one pass")
  func noTextEncoder() throws {
    try simpleBase()
    let adapter = try bench.adapter([Change("lora_unet_a", 6, 5), Change("lora_te_x", 2, 2)])
    let plan = try BakePlan(
      BakeRecipe(
        base: bench.path("base.safetensors"), inputs: [.init(path: adapter, strength: 1, textEncoderStrength: 0)]))
    #expect(plan.skipped.isEmpty && plan.targetCount == 1)
  }

  @Test("two targets of one adapter on the same rows")
  func overlap() throws {
    try bench.base([filler("double_blocks.0.img_attn.qkv.weight", [12, 5])])
    let whole = Change("lora_unet_double_blocks_0_img_attn_qkv", 12, 5)
    let part = Change("lora_unet_transformer_blocks_0_attn_to_q", 4, 5)
    try expectRefusal(
      "adapter.safetensors: lora_unet_double_blocks_0_img_attn_qkv: changes the same rows as "
        + "lora_unet_transformer_blocks_0_attn_to_q, which is used",
      [.init(path: bench.adapter([whole, part]))])
  }

  @Test("formats that nothing can be added to", arguments: [DType.f64, .i32])
  func formats(_ dtype: DType) throws {
    try simpleBase(dtype)
    try expectRefusal(
      "base.safetensors: a.weight: dtype: expected F32, F16, BF16 or F8, found \(dtype.rawValue); hint: convert the base "
        + "first", [.init(path: bench.adapter([Change("lora_unet_a", 6, 5)]))])
  }

  @Test("a scale in a format that cannot be read, and one of a wrong shape")
  func scales() throws {
    let adapter = try bench.adapter([Change("lora_unet_a", 2, 2)])
    let header =
      #"{"a.weight":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]},"#
      + #""a.scale_weight":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[4,5]}}"#
    try bench.folder.write(RawSafetensors(header: header, data: [1, 2, 3, 4, 127]).bytes, to: "base.safetensors")
    try expectRefusal(
      "base.safetensors: a.weight: scale_weight: expected a number format that can be read, found F8_E8M0",
      [.init(path: adapter)])
    try bench.base([("a.weight", [2, 2], .f8e4m3, [1, 2, 3, 4]), ("a.scale_weight", [3], .f32, [1, 2, 3])])
    try expectRefusal(
      "base.safetensors: a.weight: scale_weight: expected 1 or 2 numbers, found [3]", [.init(path: adapter)])
  }

  @Test("outputs that would destroy the base or each other")
  func destinations() throws {
    try simpleBase()
    let adapter = try bench.adapter([Change("lora_unet_a", 6, 5)])
    let before = try bench.folder.bytes(of: "base.safetensors")
    func refusal(_ output: String, undo: String?) -> String {
      bench.refusal { try bench.bake([.init(path: adapter)], to: output, undo: undo) }
    }
    let own = "base.safetensors: is the base itself; hint: give the output another name"
    #expect(refusal("base.safetensors", undo: nil) == own)
    #expect(refusal("out.safetensors", undo: "base.safetensors") == own)
    let same = "is the output itself; hint: give the undo file another name"
    #expect(refusal("out.safetensors", undo: "out.safetensors") == "out.safetensors: \(same)")
    #expect(refusal("out.safetensors", undo: "./out.safetensors") == "./out.safetensors: \(same)")
    #expect(try bench.folder.names == ["adapter.safetensors", "base.safetensors"])
    #expect(try bench.folder.bytes(of: "base.safetensors") == before)
  }
}
