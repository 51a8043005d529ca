import Factoring
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that a baked weight is W + Σ strength · delta, formed densely here, for all kinds of targets and strengths.
@Suite struct AlgebraTests {
  struct Kind: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// Extents of the base behind its 6 rows of 5 inputs.
    var base: [Int] = []
    var kernel: [Int] = []
    var mid: Int?
    var alpha: Double?
  }

  static let kinds = [
    Kind(testDescription: "linear", alpha: 3), Kind(testDescription: "linear without alpha"),
    Kind(testDescription: "convolution", base: [3, 3], kernel: [3, 3], alpha: 1),
    Kind(testDescription: "Tucker", base: [3, 3], kernel: [3, 3], mid: 3, alpha: 0.5),
    Kind(testDescription: "1 × 1 convolution on a linear weight", kernel: [1, 1], alpha: 2),
    Kind(testDescription: "linear on a 1 × 1 convolution", base: [1, 1], alpha: 2),
    Kind(testDescription: "three axes", base: [3], kernel: [3]),
  ]

  @Test("each kind of target", arguments: kinds, [1, -0.7, 2.5])
  func kind(_ kind: Kind, strength: Double) throws {
    let bench = try Bench()
    let weight = filler("a.weight", [6, 5] + kind.base, seed: 3)
    let change = Change("lora_unet_a", 6, 5, kernel: kind.kernel, mid: kind.mid, alpha: kind.alpha)
    try bench.base([weight])
    let result = try bench.bake([.init(path: bench.adapter([change]), strength: strength)])
    let expected = plus(weight.values.map { Double(Float($0)) }, change.delta, strength)
    let error = relativeDifference(try bench.values("a.weight"), expected)
    #expect(error <= 2e-7, "\(error)")
    #expect(result.entries.map(\.name) == ["a.weight"])
    let share = result.total.share ?? .nan
    #expect(abs(share - 1) <= 1e-6)
  }

  @Test("factors of every format, and a base of every format", arguments: [DType.f32, .f16, .bf16, .f64])
  func formats(_ dtype: DType) throws {
    let bench = try Bench(), change = Change("lora_unet_a", 6, 5, alpha: 1, dtype: dtype)
    for stored in [DType.f32, .f16, .bf16] {
      let weight = filler("a.weight", [6, 5], stored, seed: 3)
      try bench.base([weight])
      try bench.bake([.init(path: bench.adapter([change]))], dtype: .f32)
      let expected = plus(Tensor(weight.values, shape: [6, 5], dtype: stored).doubles(), change.delta)
      #expect(relativeDifference(try bench.values("a.weight"), expected) <= 2e-7, "\(stored)")
    }
  }

  @Test("strengths of UNet and text encoder are separate, and 0 leaves the bytes as they are")
  func strengths() throws {
    let bench = try Bench()
    let unet = filler("model.diffusion_model.a.weight", [6, 5], .f16, seed: 3)
    let text = filler("cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight", [4, 3], .f16, seed: 4)
    try bench.base([unet, text])
    let changes = [
      Change("lora_unet_a", 6, 5, alpha: 1),
      Change("lora_te_text_model_encoder_layers_0_mlp_fc1", 4, 3, alpha: 1, seed: 2),
    ]
    let adapter = try bench.adapter(changes)
    for (own, other) in [(0.8, 0.5), (0, 1.5), (-1, 0), (0, 0)] {
      let result = try bench.bake([.init(path: adapter, strength: own, textEncoderStrength: other)])
      for (weight, change, strength) in [(unet, changes[0], own), (text, changes[1], other)] {
        let stored = Tensor(weight.values, shape: Shape(weight.shape), dtype: .f16)
        if strength == 0 {
          #expect(try bench.bytes(weight.name) == stored.bytes.withUnsafeBytes(Array.init))
        } else {
          let sum = plus(stored.doubles(), change.delta, strength)
          let found = relativeDifference(try bench.values(weight.name), sum)
          #expect(found <= 1e-3 && found > 1e-6)
        }
      }
      #expect(result.entries.count == (own == 0 ? 0 : 1) + (other == 0 ? 0 : 1))
      let plan = try BakePlan(
        BakeRecipe(
          base: bench.path("base.safetensors"),
          inputs: [.init(path: adapter, strength: own, textEncoderStrength: other)]))
      #expect(plan.targetCount == result.entries.count && plan.changedCount == result.entries.count)
    }
  }

  @Test("block weights multiply the strength of their blocks")
  func blocks() throws {
    let bench = try Bench(), names = ["input_blocks.1.1.proj_in", "input_blocks.4.1.proj_in", "middle_block.1.proj_in"]
    let weights = names.map { filler("model.diffusion_model.\($0).weight", [4, 3, 1, 1], seed: 5) }
    try bench.base(weights + [filler("model.diffusion_model.input_blocks.0.0.weight", [4, 4, 3, 3])])
    let changes = names.enumerated().map {
      Change("lora_unet_" + $1.replacing(".", with: "_"), 4, 3, seed: UInt64($0))
    }
    let adapter = try bench.adapter(changes)
    let blocks = BlockWeights(named: ["IN01": 0.25, "M00": 0])
    try bench.bake([.init(path: adapter, strength: 2, blocks: blocks)])
    for (index, factor) in [0.5, 2, 0].enumerated() {
      let expected = plus(weights[index].values.map { Double(Float($0)) }, changes[index].delta, factor)
      #expect(relativeDifference(try bench.values(weights[index].name), expected) <= 2e-7, "\(names[index])")
    }
  }

  @Test("eight adapters are summed before the one rounding")
  func eight() throws {
    let bench = try Bench(), weight = filler("a.weight", [40, 24], .bf16, seed: 9)
    try bench.base([weight])
    let changes = (0..<8).map { Change("lora_unet_a", 40, 24, rank: 1 + $0, size: 0.01, seed: UInt64($0)) }
    let inputs = try changes.enumerated().map {
      AdapterInput(path: try bench.adapter([$1], "\($0).safetensors"), strength: 1 - 0.3 * Double($0))
    }
    try bench.bake(inputs)
    var exact = Tensor(weight.values, shape: [40, 24], dtype: .bf16).doubles()
    for (change, input) in zip(changes, inputs) { exact = plus(exact, change.delta, input.strength) }
    let found = try bench.values("a.weight")
    // Half a step of bf16, and what single precision adds.
    let faults = zip(found, exact).count { !(abs($0 - $1) <= 0x1.001p-9 * 2 * abs($1).binade + 1e-7) }
    #expect(found.count == exact.count && faults == 0)
  }

  @Test(
    "what an engine is given is what a bake to single precision stores, bit for bit", arguments: [DType.f32, .bf16])
  func source(_ stored: DType) throws {
    let bench = try Bench()
    let weights = [filler("a.weight", [70, 33], stored, seed: 1), filler("b.weight", [9, 4], stored, seed: 2)]
    try bench.base(weights)
    let changes = [Change("lora_unet_a", 70, 33, rank: 5, alpha: 2)]
    let inputs = [
      AdapterInput(path: try bench.adapter(changes), strength: 0.3),
      AdapterInput(path: try bench.adapter([Change("lora_unet_a", 70, 33, rank: 3, seed: 8)], "2.safetensors")),
    ]
    try bench.bake(inputs, dtype: .f32)
    let plan = try BakePlan(BakeRecipe(base: bench.path("base.safetensors"), inputs: inputs))
    for weight in weights {
      let tensor = try plan.weights.weight(
        named: .init(.denoiser, weight.name), shape: Shape(weight.shape))
      #expect(tensor.dtype == .f32 && tensor.shape == Shape(weight.shape))
      #expect(tensor.bytes.withUnsafeBytes(Array.init) == (try bench.bytes(weight.name)), "\(weight.name)")
    }
  }

  @Test("the bytes do not depend on the number of threads", arguments: Rounding.allCases)
  func threads(_ rounding: Rounding) throws {
    let bench = try Bench()
    let names = (0..<9).map { "w\($0)" }
    try bench.base(names.map { filler("\($0).weight", [90, 40], .bf16, seed: 3) })
    let adapter = try bench.adapter(
      names.enumerated().map { Change("lora_unet_\($1)", 90, 40, size: 0.01, seed: UInt64($0)) })
    for threads in [1, 4] {
      try bench.bake(
        [.init(path: adapter)], to: "\(threads)", rounding: rounding, undo: "u\(threads)", threads: threads)
    }
    #expect(try bench.folder.bytes(of: "1") == bench.folder.bytes(of: "4"))
    #expect(try bench.folder.bytes(of: "u1") == bench.folder.bytes(of: "u4"))
    #expect(try bench.bytes("w0.weight", "1") != bench.bytes("w0.weight", "base.safetensors"))
  }
}
