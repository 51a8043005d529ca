import Adapters
import Checkpoints
import Factoring
import Merging
import Safetensors
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Every operation on targets whose delta depends on the base.
@Suite struct ChangeOperationTests {
  let bench: Bench

  init() throws { bench = try Bench() }

  private var base: String { bench.path("base.safetensors") }

  /// What a bake to single precision changes, by the base's names.
  private func changes(_ inputs: [AdapterInput], base: String = "base.safetensors") throws -> [String: [Double]] {
    let output = "\(inputs.map(\.label).joined(separator: "+")).safetensors"
    try bench.bake(inputs, base: base, to: output, dtype: .f32)
    let (before, after) = (
      try SafetensorsFile(path: bench.path(base)), try SafetensorsFile(path: bench.path(output))
    )
    return Dictionary(
      uniqueKeysWithValues: try before.entries.map { entry in
        let result = try ChangeGoldens.tensor(entry.name, after).doubles()
        return (entry.name, zip(result, before.tensor(entry).doubles()).map { $0 - $1 })
      })
  }

  private func resize(_ path: String, _ rule: RankRule, to output: String) throws -> RefactorResult {
    let recipe = RefactorRecipe(
      .resize, inputs: [.init(path: path)], rule: rule, dtype: .f32, base: base)
    let decomposed = try DecomposedPlan(RefactorPlan(recipe), threads: 2)
    return try decomposed.write(decomposed.allocation(), to: bench.path(output), overwriting: false, threads: 2)
  }

  private func distance(_ a: [String: [Double]], _ b: [String: [Double]]) -> Double {
    Dense.norm(a.flatMap { name, values in zip(values, b[name] ?? [.nan]).map { $0 - $1 } })
  }

  @Test("a DoRA cut to a lower rank is a DoRA, and its error is what was cut off", arguments: [1, 2])
  func resizedDoRA(_ rank: Int) throws {
    let path = ChangeGoldens.path("lycoris-dora.safetensors")
    try ChangeGoldens.writeBase(of: "lycoris-dora.safetensors", to: bench)
    let result = try resize(path, .rank(rank, conv: nil), to: "small.safetensors")
    let small = try Adapter(path: bench.path("small.safetensors"))
    #expect(small.dependents.allSatisfy { $0.algorithm == .dora } && small.targets.isEmpty)
    #expect(small.dependents.count == (try Adapter(path: path)).dependents.count)
    let found = distance(
      try changes([.init(path: path)]), try changes([.init(path: bench.path("small.safetensors"))]))
    let claimed = Dense.norm(result.entries.map(\.error))
    #expect(claimed > 0 && abs(found - claimed) <= 1e-4 * claimed, "\(found) instead of \(claimed)")
  }

  @Test("a DoRA with all of its components is the same DoRA")
  func exactDoRA() throws {
    let path = ChangeGoldens.path("lycoris-dora.safetensors")
    try ChangeGoldens.writeBase(of: "lycoris-dora.safetensors", to: bench)
    _ = try resize(path, .exact, to: "same.safetensors")
    let before = try changes([.init(path: path)]), after = try changes([.init(path: bench.path("same.safetensors"))])
    #expect(distance(before, after) <= 1e-5 * Dense.norm(before.values.flatMap { $0 }))
  }

  @Test(
    "a merge with other adapters is the sum of the deltas; alone it says that it needs the base",
    arguments: [
      "lycoris-dora.safetensors", "lycoris-glora.safetensors", "lycoris-ia3.safetensors", "lycoris-oft.safetensors",
    ])
  func merged(_ file: String) throws {
    let path = ChangeGoldens.path(file)
    try ChangeGoldens.writeBase(of: file, to: bench)
    let inputs = [AdapterInput(path: path, strength: 0.5), AdapterInput(path: path, strength: -0.2)]
    #expect(throws: AdapterError.self) { try RefactorPlan(RefactorRecipe(.merge, inputs: inputs, rule: .exact)) }
    let plan = try RefactorPlan(
      RefactorRecipe(.merge, inputs: inputs, rule: .exact, dtype: .f32, format: .kohya, base: base))
    let decomposed = try DecomposedPlan(plan, threads: 2)
    _ = try decomposed.write(
      decomposed.allocation(), to: bench.path("merged.safetensors"), overwriting: false, threads: 2)
    let merged = try Adapter(path: bench.path("merged.safetensors"))
    #expect(merged.dependents.isEmpty && merged.targets.allSatisfy { $0.algorithm == .lora })
    let own = try changes([.init(path: path)]), sum = try changes([.init(path: bench.path("merged.safetensors"))])
    let wanted = own.mapValues { $0.map { 0.3 * $0 } }
    #expect(distance(sum, wanted) <= 1e-5 * Dense.norm(wanted.values.flatMap { $0 }), "\(file)")
  }

  @Test("biases and norms stay as they are in a resize, and are summed in a merge")
  func vectors() throws {
    let path = ChangeGoldens.path("lycoris-mixed.safetensors")
    try ChangeGoldens.writeBase(of: "lycoris-mixed.safetensors", to: bench)
    _ = try resize(path, .exact, to: "same.safetensors")
    let (before, after) = (
      try SafetensorsFile(path: path), try SafetensorsFile(path: bench.path("same.safetensors"))
    )
    let vectors = before.entries.filter { $0.name.hasSuffix("_norm") || $0.name.hasSuffix(".diff_b") }
    #expect(vectors.count >= 9)
    for entry in vectors {
      let same = try ChangeGoldens.tensor(entry.name, after)
      #expect(same.doubles() == before.tensor(entry).doubles() && same.dtype == entry.dtype, "\(entry.name)")
    }
    let plan = try RefactorPlan(
      RefactorRecipe(
        .merge, inputs: [.init(path: path, strength: 0.5), .init(path: path, strength: 0.25)], rule: .exact,
        dtype: .f32))
    let decomposed = try DecomposedPlan(plan, threads: 2)
    _ = try decomposed.write(
      decomposed.allocation(), to: bench.path("merged.safetensors"), overwriting: false, threads: 2)
    let own = try changes([.init(path: path)]), sum = try changes([.init(path: bench.path("merged.safetensors"))])
    let wanted = own.mapValues { $0.map { 0.75 * $0 } }
    // The file's vectors are in half precision.
    #expect(distance(sum, wanted) <= 1e-3 * Dense.norm(wanted.values.flatMap { $0 }))
  }

  @Test(
    "spectra are those of the changes themselves", arguments: ["lycoris-dora.safetensors", "lycoris-boft.safetensors"])
  func spectra(_ file: String) throws {
    try ChangeGoldens.writeBase(of: file, to: bench)
    let bound = try Adapter(path: ChangeGoldens.path(file)).bound(to: Checkpoint(path: base))
    #expect(bound.misfits.isEmpty && bound.adapter.dependents.isEmpty)
    let spectrum = try AdapterSpectrum(of: bound.adapter, threads: 2)
    let own = try changes([.init(path: ChangeGoldens.path(file))])
    for entry in spectrum.entries.prefix(12) {
      let name = entry.target.name.dropFirst("lora_unet_".count) + ".weight"
      let values = Dense.singularValues(
        try #require(own[String(name)]), rows: entry.target.rows, columns: entry.target.columns)
      for (a, b) in zip(entry.spectrum.singularValues, values) {
        #expect(abs(a - b) <= 1e-5 * values[0], "\(entry.target.name): \(a), \(b)")
      }
    }
  }

  @Test(
    "an undone bake restores the base bit for bit",
    arguments: ["lycoris-dora.safetensors", "lycoris-glora.safetensors", "lycoris-mixed.safetensors"])
  func undone(_ file: String) throws {
    try ChangeGoldens.writeBase(of: file, to: bench)
    try bench.bake([.init(path: ChangeGoldens.path(file), strength: 0.7)], undo: "undo")
    try bench.unbake()
    #expect(try bench.folder.bytes(of: "back.safetensors") == bench.folder.bytes(of: "base.safetensors"))
  }

  @Test("the second of two adapters changes what the first has left")
  func sequence() throws {
    let file = "lycoris-dora.safetensors", path = ChangeGoldens.path(file)
    try ChangeGoldens.writeBase(of: file, to: bench)
    let both = try changes([.init(path: path, strength: 0.5), .init(path: path, strength: 1)])
    try bench.bake([.init(path: path, strength: 0.5)], to: "first.safetensors", dtype: .f32)
    try bench.bake([.init(path: path)], base: "first.safetensors", to: "second.safetensors", dtype: .f32)
    let before = try SafetensorsFile(path: base), after = try SafetensorsFile(path: bench.path("second.safetensors"))
    for entry in before.entries {
      let wanted = zip(try ChangeGoldens.tensor(entry.name, after).doubles(), before.tensor(entry).doubles()).map {
        $0 - $1
      }
      #expect(relativeDifference(both[entry.name]!, wanted) <= 1e-5, "\(entry.name)")
    }
  }

  @Test("VeRA without its projections is refused with the reason")
  func missingProjections() throws {
    let adapter = try Adapter(path: ChangeGoldens.path("peft-vera-without"))
    #expect(
      adapter.problems.contains {
        $0.description.contains("expected vera_A and vera_B, which PEFT saves unless save_projection is off")
      })
    #expect(throws: AdapterError.self) {
      try adapter.requireWorkable(allowingUnknown: false, allowingDependents: true)
    }
  }
}
