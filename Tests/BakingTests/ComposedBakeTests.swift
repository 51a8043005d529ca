import Adapters
import Factoring
import Merging
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Baking

/// LoHa, LoKr and full differences baked, merged and resized, against the deltas of the library that defines them.
@Suite struct ComposedBakeTests {
  let bench: Bench, adapter: Adapter, expected: SafetensorsFile

  init() throws {
    bench = try Bench()
    adapter = try Adapter(path: Goldens.path("families/adapter.safetensors"))
    expected = try SafetensorsFile(path: Goldens.path("families/expected.safetensors"))
    // A weight for each target, of the library's shapes.
    try bench.base(
      expected.entries.map { entry in
        filler("\(entry.name.dropFirst("lora_unet_".count)).weight", entry.shape.extents, seed: 5)
      })
  }

  private func delta(_ name: String) -> [Double] {
    expected.tensor(expected.entries[expected.index(of: name)!]).doubles()
  }

  private func baked(_ path: String, strength: Double, output: String) throws -> [String: [Double]] {
    try bench.bake([AdapterInput(path: path, strength: strength)], to: output, dtype: .f32)
    let (base, result) = (
      try SafetensorsFile(path: bench.path("base.safetensors")), try SafetensorsFile(path: bench.path(output))
    )
    return Dictionary(
      uniqueKeysWithValues: base.entries.map { entry in
        let after = result.tensor(result.entries[result.index(of: entry.name)!]).doubles()
        return (
          "lora_unet_" + entry.name.dropLast(".weight".count), zip(after, base.tensor(entry).doubles()).map { $0 - $1 }
        )
      })
  }

  @Test("a bake adds strength times the library's delta, flat convolutions included", arguments: [0, 0.5, 1, -0.7])
  func strengths(_ strength: Double) throws {
    let changes = try baked(adapter.path, strength: strength, output: "out.safetensors")
    for target in adapter.targets {
      // Rounding to single precision is relative to the sum, not to the delta.
      let size = max(Dense.norm(delta(target.name)), 1) * max(abs(strength), 0.1)
      let error = Dense.norm(zip(changes[target.name]!, delta(target.name)).map { $0 - strength * $1 })
      #expect(error <= 1e-5 * size, "\(target.name) (\(target.algorithm)): \(error) of \(size)")
    }
  }

  @Test("a merge of all of them with a LoRA is their sum; a resize of everything is the same in LoRA's form")
  func merged() throws {
    let lora = Change("lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q", 12, 20)
    try bench.adapter([lora], "lora.safetensors")
    let merge = try RefactorPlan(
      RefactorRecipe(
        .merge, inputs: [.init(path: adapter.path, strength: 0.5), .init(path: bench.path("lora.safetensors"))],
        rule: .exact,
        dtype: .f32))
    #expect(
      merge.notes.contains {
        $0.text.hasSuffix("targets of loha become LoRA, which needs more bytes for the same energy")
      })
    let decomposed = try DecomposedPlan(merge, threads: 2)
    let result = try decomposed.write(
      decomposed.allocation(), to: bench.path("merged.safetensors"), overwriting: false, threads: 2)
    #expect(result.relativeError <= 1e-6)
    let file = try Adapter(path: bench.path("merged.safetensors"))
    #expect(file.targets.allSatisfy { $0.algorithm == .lora } && file.targets.count == adapter.targets.count)
    #expect(file[metadata: "ss_network_module"] == "networks.lora")
    let sum = try baked(file.path, strength: 1, output: "sum.safetensors")
    let own = try baked(bench.path("lora.safetensors"), strength: 1, output: "own.safetensors")
    for target in adapter.targets {
      let wanted = zip(delta(target.name), own[target.name]!).map { 0.5 * $0 + $1 }
      #expect(relativeDifference(sum[target.name]!, wanted) <= 1e-5, "\(target.name) (\(target.algorithm))")
    }
  }

  @Test("an undone bake restores the base bit for bit")
  func undone() throws {
    try bench.bake([AdapterInput(path: adapter.path)], undo: "undo")
    try bench.unbake()
    #expect(try bench.folder.bytes(of: "back.safetensors") == bench.folder.bytes(of: "base.safetensors"))
  }
}
