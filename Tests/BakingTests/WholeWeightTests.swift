import Adapters
import Factoring
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that strengths hold for what stands in the base's place: W + s·(W₁ − W), the formula itself being the oracle.
@Suite struct WholeWeightTests {
  private let bench: Bench
  private let base: (weight: NamedValues, bias: NamedValues)
  private let whole: (weight: NamedValues, bias: NamedValues)
  private static let module = "base_model.model.model.layers.0.self_attn.q_proj"

  init() throws {
    bench = try Bench()
    base = (
      filler("model.layers.0.self_attn.q_proj.weight", [6, 6], seed: 1),
      filler("model.layers.0.self_attn.q_proj.bias", [6], seed: 2)
    )
    whole = (filler("\(Self.module).weight", [6, 6], seed: 3), filler("\(Self.module).bias", [6], seed: 4))
    try bench.base([base.weight, base.bias])
  }

  private func expect(_ tensor: NamedValues, _ whole: NamedValues, strength: Double) throws {
    let expected = zip(tensor.values, whole.values).map { $0 + strength * ($1 - $0) }
    let error = Dense.norm(zip(try bench.values(tensor.name), expected).map { $0 - $1 })
    #expect(
      error <= 1e-5 * max(1, abs(strength)) * max(1, Dense.norm(expected)), "\(tensor.name) at \(strength): \(error)")
  }

  @Test("a bake takes the strength's share of whole weights and biases", arguments: [0.25, 1, 2, -1, 1e-3])
  func share(_ strength: Double) throws {
    try writeAdapter(to: bench.path("a.safetensors"), tensors: [whole.weight, whole.bias])
    try bench.bake([AdapterInput(path: bench.path("a.safetensors"), strength: strength)])
    try expect(base.weight, whole.weight, strength: strength)
    try expect(base.bias, whole.bias, strength: strength)
  }

  @Test("a base weight beside factors is used in the base's place", arguments: [0.5, 1, -1])
  func frozen(_ strength: Double) throws {
    let lora = Change(Self.module, 6, 6, ends: (".lora_B.weight", ".lora_A.weight"))
    for (values, isSame) in [(base.weight.values, true), (whole.weight.values, false)] {
      var own = whole.weight
      (own.name, own.values) = ("\(Self.module).base_layer.weight", values)
      try writeAdapter(to: bench.path("a.safetensors"), tensors: lora.tensors + [own])
      let adapter = try Adapter(path: bench.path("a.safetensors"))
      #expect(adapter.targets.count == 1 && adapter.problems.isEmpty)
      let plan = try BakePlan(
        BakeRecipe(
          base: bench.path("base.safetensors"),
          inputs: [AdapterInput(path: bench.path("a.safetensors"), strength: strength)]))
      #expect(plan.warnings.contains { $0.contains("differs from the base's weight") } == !isSame)
      _ = try plan.write(to: bench.path("out.safetensors"), undo: nil, overwriting: true, threads: 2)
      var full = whole.weight
      full.values = plus(values, lora.delta)
      try expect(base.weight, full, strength: strength)
    }
  }

  @Test("targets that AdaLoRA pruned to rank 0 are passed over with a line")
  func pruned() throws {
    let lora = Change(Self.module, 6, 6, ends: (".lora_B.weight", ".lora_A.weight"))
    let other = "base_model.model.model.layers.1.self_attn.q_proj"
    try writeAdapter(
      to: bench.path("a.safetensors"),
      tensors: lora.tensors + [
        filler("\(other).lora_B", [6, 0]), filler("\(other).lora_A", [0, 6]), filler("\(other).lora_E", [0, 1]),
      ])
    let adapter = try Adapter(path: bench.path("a.safetensors"))
    #expect(adapter.targets.count == 1)
    #expect(adapter.problems.map(\.kind) == [.pruned] && !adapter.problems[0].isFatal)
    try adapter.requireWorkable(allowingUnknown: false)
  }
}
