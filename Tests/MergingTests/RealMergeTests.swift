import Adapters
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves, on real adapters in three spellings, that merged and resized deltas are those that numpy's dense linear
/// algebra gives, both in what the plan knows and in what the written file holds.
@Suite struct RealMergeTests {
  @Test("The merge of three adapters has the dense sum's singular values")
  func spectra() throws {
    let adapters = try RealMerge.adapters(), golden = RealMerge.golden
    guard adapters.count == 3 else { return }
    let plan = try RefactorPlan(.merge(adapters, golden.strengths)), decomposed = try DecomposedPlan(plan, threads: 2)
    let expected = Dictionary(uniqueKeysWithValues: golden.targets.map { ($0.replacing(".", with: "_"), $1) })
    #expect(plan.targets.count == expected.count)
    var total = 0.0
    for (target, spectrum) in zip(plan.targets, decomposed.spectra) {
      let value = try #require(expected[target.key.path], "\(target.key.path)")
      #expect(spectrum.singularValues.count == value.sigma.count)
      for (found, sigma) in zip(spectrum.singularValues, value.sigma) {
        #expect(abs(found - sigma) <= 1e-12 * value.sigma[0], "\(target.name)")
      }
      #expect(abs(spectrum.norm - value.fro) <= 1e-12 * value.fro)
      total += spectrum.energy
    }
    #expect(abs(total.squareRoot() - golden.total_fro) <= 1e-12 * golden.total_fro)
    let allocation = try decomposed.allocation(rule: .rank(4, conv: nil))
    #expect(abs(allocation.relativeError - golden.rank4_relative_error) <= 1e-12)
  }

  @Test("The merge cut to rank 4 has the dense sum's error when it is read back")
  func written() throws {
    let adapters = try RealMerge.adapters(), golden = RealMerge.golden
    guard adapters.count == 3 else { return }
    let folder = try TemporaryFolder()
    let run = try Refactoring(.merge(adapters, golden.strengths, .rank(4, conv: nil)), to: folder.file("m.safetensors"))
    #expect(abs(run.result.relativeError - golden.rank4_relative_error) <= 1e-6)
    #expect(run.output.targets.count == golden.targets.count)
    // One target densely, from the file.
    let target = run.output.targets[7]
    let deltas = try adapters.map { adapter in try #require(adapter.targets.first { $0.key == target.key }).dense }
    let whole = sum(deltas, golden.strengths), difference = zip(whole, target.dense).map { $0 - $1 }
    let values = try #require(golden.targets.first { $0.key.replacing(".", with: "_") == target.key.path }).value.sigma
    let tail = Dense.norm(Array(values.dropFirst(4)))
    #expect(abs(Dense.norm(difference) - tail) <= 1e-6 * tail)
  }

  @Test("A real adapter cut to rank 2 has numpy's error", arguments: RealMerge.rank2Errors.keys.sorted())
  func resized(file: String) throws {
    guard let adapter = try realAdapter(file), let expected = RealMerge.rank2Errors[file] else { return }
    let folder = try TemporaryFolder(), isFolder = adapter.configuration != nil
    let run = try Refactoring(
      .resize(adapter.path, .rank(2, conv: nil)), to: folder.file(isFolder ? "out" : "out.safetensors"))
    // Half precision and bfloat16 files add their rounding.
    let rounding = 2 * (run.output.targets.compactMap(\.dtype.unitRoundoff).max() ?? 0)
    #expect(run.allocation.relativeError - expected <= 1e-9 && expected - run.allocation.relativeError <= 1e-9)
    #expect(abs(run.result.relativeError - expected) <= rounding * rounding / expected + 1e-9)
    #expect(run.output.targets.allSatisfy { $0.rank <= 2 })
    #expect(run.output.format == adapter.format)
  }
}
