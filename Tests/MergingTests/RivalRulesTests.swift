import Adapters
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that for the bytes which any of the usual rules spends, the division of the budget has no larger error, but
/// for the luck of one component in how well a budget is filled: against kohya's three rules at thresholds over their
/// whole range, one rank for all, and the largest singular values anywhere; on random spectra and on real adapters.
@Suite struct RivalRulesTests {
  /// What each rule would choose, over the whole range of its threshold.
  private func rivals(_ spectra: [Spectrum]) -> [(name: String, ranks: [Int])] {
    var result: [(String, [Int])] = []
    func add(_ name: String, _ rule: RankRule, likeKohya: Bool = false) {
      let ranks = spectra.map { rule.rank(for: $0, isConvolution: false, countsLikeKohya: likeKohya)! }
      result.append(("\(name) \(rule.description)", ranks))
    }
    for likeKohya in [false, true] {
      for step in 1..<20 {
        let share = Double(step) / 20
        add("kohya", .svRatio(1 + 1.3 * Double(step * step) / 20), likeKohya: likeKohya)
        add("kohya", .svFrobenius(share.squareRoot()), likeKohya: likeKohya)
        add("kohya", .svCumulative(share), likeKohya: likeKohya)
      }
    }
    for rank in 1...spectra.map(\.singularValues.count).max()! { add("uniform", .rank(rank, conv: nil)) }
    for step in 1..<20 { add("energy", .energy(Double(step) / 20)) }
    let all = spectra.flatMap(\.singularValues).sorted(by: >)
    for step in 1..<20 {
      let level = all[all.count * step / 20]
      result.append(("largest values above \(level)", spectra.map { $0.singularValues.count { $0 > level } }))
    }
    return result
  }

  /// Compares the allocation with every rival at the rival's own bytes.
  private func race(_ spectra: [Spectrum], _ allocator: RankAllocator, _ label: String) {
    var best = 1.0, bestName = "", wins = 0
    let rivals = rivals(spectra)
    for (name, ranks) in rivals {
      let rival = allocator.allocation(ranks: ranks)
      guard let found = allocator.allocation(fitting: rival.bytes) else {
        Issue.record("\(label): nothing fits the \(rival.bytes) bytes of \(name)")
        continue
      }
      #expect(found.bytes <= rival.bytes, "\(label), \(name)")
      #expect(found.relativeError <= 1.01 * rival.relativeError, "\(label), \(name), \(rival.bytes) bytes")
      wins += found.relativeError <= rival.relativeError ? 1 : 0
      #expect(found.lowerBound! <= rival.relativeError + 1e-12, "\(label), \(name): the certificate is wrong")
      if found.relativeError > 0, rival.relativeError / found.relativeError > best {
        (best, bestName) = (rival.relativeError / found.relativeError, name)
      }
    }
    #expect(wins >= rivals.count - 2, "\(label): better than \(wins) of \(rivals.count)")
    print("\(label): \(bestName) has \(best) times the error at the same bytes")
  }

  @Test("No rule is better on random spectra", arguments: 0..<8 as Range<UInt64>)
  func random(seed: UInt64) {
    let problem = AllocationProblem(seed: seed, targets: 80...120, components: 4...16, sides: 320...1280)
    race(problem.spectra, problem.allocator(), "seed \(seed)")
  }

  @Test(
    "No rule is better on real adapters",
    arguments: [
      "sd15_diffusers_pokemon.safetensors", "sd15_diffusers_unet_prefix.safetensors",
      "sd15_diffusers_processor_style.safetensors",
      "sd15_cloneofsimo_rank4.safetensors", "gpt2_peft_rank8", "flux_partial_rank16.safetensors",
    ])
  func real(name: String) throws {
    guard let adapter = try realAdapter(name) else { return }
    let plan = try RefactorPlan(.resize(adapter.path, .exact))
    let spectra = try DecomposedPlan(plan, threads: 2).spectra
    let model = FileSizeModel(
      parts: plan.targets.enumerated().flatMap { $1.parts(index: $0) }, metadata: [(key: "format", value: "pt")])
    race(spectra, RankAllocator(spectra: spectra, weighing: .absolute, keepsAll: false, model: model), name)
  }

  @Test("No rule is better on a merge of three real adapters")
  func realMerge() throws {
    let adapters = try RealMerge.adapters()
    guard adapters.count == 3 else { return }
    let plan = try RefactorPlan(.merge(adapters, RealMerge.golden.strengths))
    let spectra = try DecomposedPlan(plan, threads: 2).spectra
    let model = FileSizeModel(
      parts: plan.targets.enumerated().flatMap { $1.parts(index: $0) }, metadata: [(key: "format", value: "pt")])
    race(spectra, RankAllocator(spectra: spectra, weighing: .absolute, keepsAll: false, model: model), "merge")
  }
}
