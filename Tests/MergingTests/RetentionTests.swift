import Adapters
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that the retention of each adapter is ⟨D_t, S'⟩ ÷ (strength · ‖D_t‖²) over all targets, by dense inner
/// products with what was written; and that a fair merge projects the sum and raises the smallest retention.
@Suite struct RetentionTests {
  /// Two adapters, the second much weaker than the first.
  private func uneven(_ folder: TemporaryFolder, targets: Int = 3) throws -> [Adapter] {
    try [1, 0.25].enumerated().map { index, size in
      var pico = Pico(seed: UInt64(70 + index))
      for target in 0..<targets { pico.add("lora_unet_\(target)", rows: 16, inputs: 14, rank: 4, size: size) }
      if index == 1 { pico.add("lora_unet_own", rows: 9, inputs: 8, rank: 3, size: size) }
      return try pico.write(to: folder.file("\(index).safetensors"))
    }
  }

  private func retention(_ adapter: Adapter, _ strength: Double, in output: Adapter) -> Double {
    let stored = Dictionary(uniqueKeysWithValues: output.targets.map { ($0.name, $0.dense) })
    var kept = 0.0, own = 0.0
    for target in adapter.targets {
      let delta = target.dense
      own += inner(delta, delta)
      if let other = stored[target.name] { kept += inner(delta, other) }
    }
    return kept / (strength * own)
  }

  @Test(
    "Retention is what dense inner products give", arguments: MergeMethods.all,
    [[1, 1], [0.5, -2], [1, 0]] as [[Double]])
  func retention(choice: MergeMethods.Choice, strengths: [Double]) throws {
    let method = choice.makeProtectingFirst()
    let folder = try TemporaryFolder(), adapters = try uneven(folder)
    for rank in 1...8 {
      var recipe = RefactorRecipe.merge(adapters, strengths, .rank(rank, conv: nil))
      recipe.method = method
      let run = try Refactoring(recipe, to: folder.file("m\(rank).safetensors"))
      for (index, share) in run.result.shares.enumerated() {
        #expect(share.file == adapters[index].path)
        guard strengths[index] != 0 else {
          #expect(share.retention == nil)
          continue
        }
        let expected = retention(adapters[index], strengths[index], in: run.output)
        #expect(abs(try #require(share.retention) - expected) <= 1e-6, "rank \(rank)")
      }
    }
  }

  @Test("Everything is retained where nothing is cut and nothing overlaps")
  func whole() throws {
    let folder = try TemporaryFolder()
    var left = Pico(seed: 1), right = Pico(seed: 1)
    left.add("lora_unet_a", rows: 8, inputs: 7, rank: 2)
    right.add("lora_unet_a", rows: 8, inputs: 7, rank: 2)
    left.change("lora_unet_a.lora_up.weight") { for i in 8..<16 { $0[i] = 0 } }
    right.change("lora_unet_a.lora_up.weight") { for i in 0..<8 { $0[i] = 0 } }
    let adapters = [
      try left.write(to: folder.file("a.safetensors")), try right.write(to: folder.file("b.safetensors")),
    ]
    let run = try Refactoring(.merge(adapters, [0.3, -4]), to: folder.file("m.safetensors"))
    for share in run.result.shares { #expect(abs(try #require(share.retention) - 1) <= 1e-12) }
  }

  @Test("An adapter that is given twice has its own retention each time")
  func twice() throws {
    let folder = try TemporaryFolder(), adapter = try uneven(folder)[0]
    let run = try Refactoring(.merge([adapter, adapter], [1, 0.5]), to: folder.file("m.safetensors"))
    // The sum is 1.5 D: of the first that is 1.5 times what was asked for, of the second 3 times.
    let found = try run.result.shares.map { try #require($0.retention) }
    #expect(abs(found[0] - 1.5) <= 1e-12)
    #expect(abs(found[1] - 3) <= 1e-12)
  }

  @Test("A fair merge raises the smallest retention, at the price of error", arguments: 2...5)
  func fair(rank: Int) throws {
    let folder = try TemporaryFolder(), adapters = try uneven(folder)
    var recipe = RefactorRecipe.merge(adapters, [1, 1], .rank(rank, conv: nil))
    let best = try Refactoring(recipe, to: folder.file("a.safetensors")).result
    recipe.method = FairShares()
    let fair = try Refactoring(recipe, to: folder.file("b.safetensors")).result
    func smallest(_ result: RefactorResult) -> Double { result.shares.map { $0.retention! }.min()! }
    #expect(smallest(fair) > smallest(best) + 0.02, "rank \(rank): \(smallest(fair)), without \(smallest(best))")
    #expect(fair.relativeError > best.relativeError)
    #expect(fair.bytes <= best.bytes + 16)
  }

  @Test("A fair merge is a projection of the sum", arguments: [1, 2, 4, 6])
  func projection(rank: Int) throws {
    let folder = try TemporaryFolder(), adapters = try uneven(folder, targets: 1)
    var recipe = RefactorRecipe.merge(adapters, [1, -0.8], .rank(rank, conv: nil))
    recipe.method = FairShares()
    let run = try Refactoring(recipe, to: folder.file("m.safetensors")), target = run.output.targets[0]
    let m = target.rows, n = target.columns, stored = target.dense
    let whole = sum(adapters.map { $0.targets[0].dense }, [1, -0.8])
    #expect(target.rank == rank)
    // Projections on the column and row space of what is stored, from its own singular vectors.
    let left = projector(stored, rows: m, columns: n, rank: rank)
    let right = projector(Dense.transposed(stored, rows: m, columns: n), rows: n, columns: m, rank: rank)
    let projected = Dense.product(
      Dense.product(left, whole, rows: m, inner: m, columns: n), right, rows: m, inner: n, columns: n)
    #expect(relativeDifference(stored, projected) <= 1e-5)
    // What is left over is orthogonal to it.
    let rest = zip(whole, stored).map { $0 - $1 }
    #expect(abs(inner(rest, stored)) <= 1e-6 * inner(whole, whole))
    let error = Dense.norm(rest) / Dense.norm(whole)
    #expect(abs(run.result.entries[0].relativeError - error) <= 1e-6)
  }

  /// The orthogonal projection on the column space of a matrix of the given rank.
  private func projector(_ a: [Double], rows: Int, columns: Int, rank: Int) -> [Double] {
    let square = Dense.product(
      a, Dense.transposed(a, rows: rows, columns: columns), rows: rows, inner: columns, columns: rows)
    // A·Aᵀ has the same column space; each of its leading parts, divided by its size, is a projection on one direction.
    let svd = DenseTruncation(square, rows: rows, columns: rows)
    var result = [Double](repeating: 0, count: rows * rows)
    for k in 0..<rank {
      let single = zip(svd.approximation(rank: k + 1), svd.approximation(rank: k)).map { ($0 - $1) / svd.values[k] }
      for i in result.indices { result[i] += single[i] }
    }
    return result
  }

  @Test("A fair merge at full rank is the exact one")
  func fullRank() throws {
    let folder = try TemporaryFolder(), adapters = try uneven(folder)
    var recipe = RefactorRecipe.merge(adapters, [1, 0.5])
    recipe.method = FairShares()
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    #expect(run.result.relativeError <= 2e-7)
  }

  @Test("An adapter at strength 0 takes no room in a fair merge")
  func silent() throws {
    let folder = try TemporaryFolder(), adapters = try uneven(folder, targets: 1)
    var recipe = RefactorRecipe.merge(adapters, [1, 0], .rank(2, conv: nil))
    recipe.method = FairShares()
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    // The fairest to one adapter is its best approximation.
    let target = run.output.targets[0], delta = adapters[0].targets[0].dense
    let best = DenseTruncation(delta, rows: target.rows, columns: target.columns).approximation(rank: 2)
    #expect(relativeDifference(target.dense, best) <= 1e-6)
  }

  @Test("A fair merge of adapters whose common part cancels is written all the same", arguments: 1...3)
  func cancelling(rank: Int) throws {
    let folder = try TemporaryFolder()
    // D₁ = X + Y, D₂ = X + Z with a strong X; D₁ − D₂ = Y − Z has nothing along the direction both care for.
    var left = Pico(seed: 5), right = Pico(seed: 5)
    for isLeft in [true, false] {
      var ups = [Double](repeating: 0, count: 6 * 2), downs = [Double](repeating: 0, count: 2 * 6)
      ups[0] = 9
      downs[0] = 9
      ups[(isLeft ? 1 : 2) * 2 + 1] = 1
      downs[6 + (isLeft ? 1 : 2)] = 1
      let name = "lora_unet_a"
      func fill(_ pico: inout Pico) {
        pico.add("\(name).lora_up.weight", [6, 2], .f32, ups)
        pico.add("\(name).lora_down.weight", [2, 6], .f32, downs)
        pico.add("lora_unet_b", rows: 6, inputs: 5, rank: 2)
      }
      if isLeft { fill(&left) } else { fill(&right) }
    }
    right.change("lora_unet_b.lora_up.weight") { $0[0] += 1 }
    let adapters = [
      try left.write(to: folder.file("a.safetensors")), try right.write(to: folder.file("b.safetensors")),
    ]
    var recipe = RefactorRecipe.merge(adapters, [1, -1], .rank(rank, conv: nil))
    recipe.method = FairShares()
    let run = try Refactoring(recipe, to: folder.file("m.safetensors"))
    let whole = sum(adapters.map { $0.targets[0].dense }, [1, -1])
    let stored = try #require(run.output.targets.first { $0.name == "lora_unet_a" }).dense
    let error = Dense.norm(zip(whole, stored).map { $0 - $1 }) / Dense.norm(whole)
    #expect(abs(run.result.entries[0].relativeError - error) <= 1e-6)
  }
}
