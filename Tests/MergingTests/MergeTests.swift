import Adapters
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that a merge is the weighted sum of its adapters' deltas, formed densely here: with any strengths, ranks,
/// kinds and number formats, in any order, in any gauge, and target by target where an adapter has no such target.
@Suite struct MergeTests {
  /// Three adapters with common and own targets, of different ranks and scales.
  private func three(_ folder: TemporaryFolder) throws -> [Adapter] {
    let dtypes = [DType.f32, .f64, .f16]
    return try (0..<3).map { index in
      var pico = Pico(seed: UInt64(40 + index))
      let dtype = dtypes[index]
      pico.add("lora_unet_a", rows: 11, inputs: 9, rank: 2 + index, alpha: Double(index) + 0.5, dtype: dtype)
      pico.add(
        "lora_unet_b", rows: 8, inputs: 3, rank: 3, kernel: [3, 3], mid: index == 1 ? 2 : nil, alpha: -1, dtype: dtype)
      pico.add("lora_unet_c", rows: 7, inputs: 9, rank: 2, kernel: index == 2 ? [1, 1] : [], dtype: dtype)
      pico.add("lora_te_text_model_encoder_layers_0_mlp_fc1", rows: 6, inputs: 5, rank: 2, dtype: dtype)
      if index == 1 { pico.add("lora_unet_own", rows: 5, inputs: 4, rank: 6, dtype: dtype) }
      return try pico.write(to: folder.file("\(index).safetensors"))
    }
  }

  /// The sum of all adapters' deltas for one target.
  private func dense(_ name: String, _ adapters: [Adapter], _ strengths: [Double]) -> [Double] {
    let members = zip(adapters, strengths).compactMap { adapter, strength in
      adapter.targets.first { $0.name == name }.map { ($0.dense, strength) }
    }
    return sum(members.map(\.0), members.map(\.1))
  }

  @Test(
    "The result is the weighted sum",
    arguments: [[1, 1, 1], [0.7, 0.5, -0.3], [0, 1, 0], [-2, 0, 1e-3], [3, 3, 3]] as [[Double]])
  func weightedSum(strengths: [Double]) throws {
    let folder = try TemporaryFolder(), adapters = try three(folder)
    let run = try Refactoring(.merge(adapters, strengths), to: folder.file("m.safetensors"))
    for target in run.output.targets {
      let expected = dense(target.name, adapters, strengths)
      #expect(relativeDifference(target.dense, expected) <= 2e-7, "\(target.name)")
      // Different number formats meet in single precision.
      #expect(target.dtype == (target.name == "lora_unet_own" ? .f64 : .f32))
    }
    #expect(Set(run.output.targets.map(\.alpha)).count == 1, "loaders expect one alpha")
    let missing = Set(run.plan.targets.map(\.name)).subtracting(run.output.targets.map(\.name))
    for name in missing { #expect(dense(name, adapters, strengths).allSatisfy { $0 == 0 }) }
    #expect(missing == (strengths[1] == 0 ? ["lora_unet_own"] : []))
    #expect(run.result.relativeError <= 2e-7)
    for (share, strength) in zip(run.result.shares, strengths) { #expect(share.strength == strength) }
  }

  @Test("Spectra and norms of the sum are the dense sum's")
  func spectra() throws {
    let folder = try TemporaryFolder(), adapters = try three(folder), strengths = [0.7, -0.5, 0.3]
    let plan = try RefactorPlan(.merge(adapters, strengths))
    for (target, spectrum) in zip(plan.targets, try DecomposedPlan(plan, threads: 2).spectra) {
      let first = adapters.compactMap { adapter in adapter.targets.first { $0.name == target.name } }[0]
      let values = Dense.singularValues(
        dense(target.name, adapters, strengths), rows: first.rows, columns: first.columns)
      let found = spectrum.singularValues
      for (a, b) in zip(found, values) { #expect(abs(a - b) <= 1e-13 * values[0]) }
      #expect(values.dropFirst(found.count).allSatisfy { $0 <= 1e-13 * values[0] })
    }
  }

  @Test("A truncated merge is the best approximation of the sum", arguments: 1...4)
  func truncated(rank: Int) throws {
    let folder = try TemporaryFolder(), adapters = try three(folder), strengths = [0.7, 0.5, -0.3]
    let run = try Refactoring(.merge(adapters, strengths, .rank(rank, conv: nil)), to: folder.file("m.safetensors"))
    var lost = 0.0, total = 0.0
    for target in run.output.targets {
      let expected = dense(target.name, adapters, strengths)
      let best = DenseTruncation(expected, rows: target.rows, columns: target.columns).approximation(rank: rank)
      #expect(relativeDifference(target.dense, best) <= 2e-7, "\(target.name)")
      let difference = zip(target.dense, expected).map { $0 - $1 }
      lost += inner(difference, difference)
      total += inner(expected, expected)
    }
    let error = (lost / total).squareRoot()
    #expect(abs(run.result.relativeError - error) <= 1e-6 * error)
  }

  @Test("The order of the adapters does not matter", arguments: [[0, 2, 1], [2, 1, 0], [1, 2, 0]])
  func permutation(order: [Int]) throws {
    let folder = try TemporaryFolder(), adapters = try three(folder), strengths = [0.7, 0.5, -0.3]
    let rule = RankRule.rank(3, conv: nil)
    let first = try Refactoring(.merge(adapters, strengths, rule), to: folder.file("m.safetensors"))
    let second = try Refactoring(
      .merge(order.map { adapters[$0] }, order.map { strengths[$0] }, rule), to: folder.file("p.safetensors"))
    let other = Dictionary(uniqueKeysWithValues: second.output.targets.map { ($0.name, $0.dense) })
    #expect(other.count == first.output.targets.count)
    for target in first.output.targets {
      #expect(relativeDifference(try #require(other[target.name]), target.dense) <= 2e-7)
    }
    for (place, index) in order.enumerated() {
      let a = try #require(first.result.shares[index].retention),
        b = try #require(second.result.shares[place].retention)
      #expect(abs(a - b) <= 1e-12)
    }
  }

  @Test("Linear: merging merges is merging all", arguments: [0.25, -1.5])
  func linear(factor: Double) throws {
    let folder = try TemporaryFolder(), adapters = try three(folder)
    let pair = try Refactoring(.merge([adapters[0], adapters[1]], [0.7, 0.5]), to: folder.file("m.safetensors")).output
    let nested = try Refactoring(.merge([pair, adapters[2]], [factor, -0.3]), to: folder.file("n.safetensors")).output
    let direct = try Refactoring(
      .merge(adapters, [0.7 * factor, 0.5 * factor, -0.3]), to: folder.file("d.safetensors")
    ).output
    let other = Dictionary(uniqueKeysWithValues: nested.targets.map { ($0.name, $0.dense) })
    for target in direct.targets { #expect(relativeDifference(try #require(other[target.name]), target.dense) <= 4e-7) }
  }

  @Test("Factors of the same delta in another gauge merge to the same", arguments: 1...4 as ClosedRange<UInt64>)
  func gauge(seed: UInt64) throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 60), other = Pico(seed: 61)
    pico.add("lora_unet_a", rows: 9, inputs: 8, rank: 3, dtype: .f64)
    other.add("lora_unet_a", rows: 9, inputs: 8, rank: 4, dtype: .f64)
    let a = try pico.write(to: folder.file("a.safetensors")), b = try other.write(to: folder.file("b.safetensors"))
    var random = SplitMix64(seed: seed)
    for _ in 0..<10 {
      // Column i gains f times column j, so row j loses f times row i.
      let i = random.below(3), j = (i + 1 + random.below(2)) % 3, factor = 3 * random.gaussian()
      pico.change("lora_unet_a.lora_up.weight") { up in for row in 0..<9 { up[row * 3 + i] += factor * up[row * 3 + j] }
      }
      pico.change("lora_unet_a.lora_down.weight") { down in
        for k in 0..<8 { down[j * 8 + k] -= factor * down[i * 8 + k] }
      }
    }
    let c = try pico.write(to: folder.file("c.safetensors"))
    let rule = RankRule.rank(2, conv: nil)
    let first = try Refactoring(.merge([a, b], [1, -0.5], rule), to: folder.file("m.safetensors"))
    let second = try Refactoring(.merge([c, b], [1, -0.5], rule), to: folder.file("n.safetensors"))
    #expect(relativeDifference(second.output.targets[0].dense, first.output.targets[0].dense) <= 1e-9, "seed \(seed)")
    for (x, y) in zip(first.decomposed.spectra[0].singularValues, second.decomposed.spectra[0].singularValues) {
      #expect(abs(x - y) <= 1e-9 * x, "seed \(seed)")
    }
  }

  @Test("One adapter at strength 1 is itself")
  func single() throws {
    let folder = try TemporaryFolder(), adapter = try three(folder)[0]
    let run = try Refactoring(.merge([adapter], [1]), to: folder.file("m.safetensors"))
    for (a, b) in zip(adapter.targets, run.output.targets) {
      #expect(relativeDifference(b.dense, a.dense) <= 2e-7)
      #expect(b.rank == a.rank)
    }
    #expect(abs(try #require(run.result.shares[0].retention) - 1) <= 1e-12)
  }

  @Test("Text encoders may have a strength of their own")
  func textEncoder() throws {
    let folder = try TemporaryFolder(), adapters = try three(folder)
    var recipe = RefactorRecipe.merge(adapters, [0.7, 0.5, 1])
    recipe.inputs[0].textEncoderStrength = -2
    recipe.inputs[1].textEncoderStrength = 0
    let output = try Refactoring(recipe, to: folder.file("m.safetensors")).output
    for target in output.targets {
      let strengths = target.key.component.isTextEncoder ? [-2, 0, 1] : [0.7, 0.5, 1]
      #expect(relativeDifference(target.dense, dense(target.name, adapters, strengths)) <= 2e-7, "\(target.name)")
    }
    #expect(output.targets.contains { $0.key.component == .textEncoder1 })
  }

  @Test("What cancels leaves nothing, not even rounding")
  func cancelling() throws {
    let folder = try TemporaryFolder(), adapters = try three(folder)
    let copy = adapters[0]
    let plan = try RefactorPlan(.merge([adapters[0], adapters[1], copy], [0.3, 1, -0.3]))
    let own = plan.targets.firstIndex { $0.name == "lora_unet_a" }!
    #expect(try DecomposedPlan(plan, threads: 1).spectra[own].singularValues.count { $0 > 0 } == 3)
    let nothing = try DecomposedPlan(RefactorPlan(.merge([adapters[0], copy], [1, -1])), threads: 1)
    #expect(nothing.spectra.allSatisfy { $0.energy == 0 })
  }

  @Test("The bytes do not depend on the number of threads", arguments: MergeMethods.all)
  func threads(choice: MergeMethods.Choice) throws {
    let folder = try TemporaryFolder(), all = try three(folder), method = choice.makeProtectingFirst()
    let adapters = method.adapterCounts.contains(3) ? all : Array(all.prefix(2))
    let outputs = try [1, 2, 4].map { threads in
      var recipe = RefactorRecipe.merge(adapters, [0.7, 0.5, -0.3], .rank(2, conv: nil))
      recipe.method = method
      _ = try Refactoring(recipe, to: folder.file("m\(threads).safetensors"), threads: threads)
      return try folder.bytes(of: "m\(threads).safetensors")
    }
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0] == outputs[2])
  }
}
