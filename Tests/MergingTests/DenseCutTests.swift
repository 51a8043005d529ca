import Adapters
import Foundation
import Spectra
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that resizes and merges of deltas that have no factors write the best approximations of their dense sums, say what they
/// lose, and write the same bytes on any number of threads.
@Suite struct DenseCutTests {
  /// Wide, tall, square, with a kernel, of one row and of one column.
  private static let shapes: [[Int]] = [[9, 14], [15, 8], [10, 10], [8, 3, 2, 2], [1, 7], [6, 1]]

  /// Full differences.
  ///
  /// - Parameters:
  ///   - steepness: singular values fall to about this share.
  ///   - rank: of all deltas at most.
  private func differences(
    _ folder: TemporaryFolder, seed: UInt64, steepness: Double = 0.1, rank: Int = 100
  ) throws -> Adapter {
    var tensors: [NamedValues] = []
    for (index, shape) in Self.shapes.enumerated() {
      let (rows, columns) = (shape[0], shape.dropFirst().reduce(1, *)), size = min(rows, columns, rank)
      var noise = SplitMix64(seed: seed * 100 + UInt64(index))
      var up = noise.gaussians(rows * size)
      for i in up.indices {
        for _ in 0..<i % size { up[i] *= steepness > 0 ? 1 - (1 - steepness) / 3 : 1 }
      }
      let values = Dense.product(up, noise.gaussians(size * columns), rows: rows, inner: size, columns: columns)
      tensors.append(("lora_unet_m\(index).diff", shape, .f64, values))
    }
    try writeAdapter(to: folder.file("full\(seed)"), tensors: tensors)
    return try Adapter(path: folder.file("full\(seed)"))
  }

  /// LoRA for the same weights.
  private func plain(_ folder: TemporaryFolder, seed: UInt64) throws -> Adapter {
    var pico = Pico(seed: seed)
    for (index, shape) in Self.shapes.enumerated() {
      pico.add(
        "lora_unet_m\(index)", rows: shape[0], inputs: shape[1], rank: 2, kernel: Array(shape.dropFirst(2)), alpha: 1,
        dtype: .f64)
    }
    return try pico.write(to: folder.file("plain\(seed)"))
  }

  /// LoKr for some of the same weights.
  private func kronecker(_ folder: TemporaryFolder, seed: UInt64) throws -> Adapter {
    let factors: [(Int, [Int], [Int])] = [
      (0, [3, 2], [3, 7]), (1, [5, 2], [3, 4]), (2, [2, 5], [5, 2]), (3, [2, 1], [4, 3, 2, 2]), (4, [1, 1], [1, 7]),
    ]
    let tensors = factors.flatMap { index, first, second in
      [
        filler("lora_unet_m\(index).lokr_w1", first, .f64, seed: seed + UInt64(index)),
        filler("lora_unet_m\(index).lokr_w2", second, .f64, seed: seed + 50 + UInt64(index)),
      ]
    }
    try writeAdapter(to: folder.file("lokr\(seed)"), tensors: tensors)
    return try Adapter(path: folder.file("lokr\(seed)"))
  }

  /// Σ strength · D for the target of this name.
  private func sum(_ name: String, _ adapters: [Adapter], _ strengths: [Double]) -> [Double] {
    var sum: [Double] = []
    for (adapter, strength) in zip(adapters, strengths) {
      guard let target = adapter.targets.first(where: { $0.name == name }) else { continue }
      let own = target.dense.map { strength * $0 }
      sum = sum.isEmpty ? own : zip(sum, own).map { $0 + $1 }
    }
    return sum
  }

  /// What was written is the best of its rank, and its error is told.
  private func check(_ run: Refactoring, _ adapters: [Adapter], _ strengths: [Double], _ comment: Comment) throws {
    var lost = 0.0, total = 0.0
    for (target, rank) in zip(run.plan.targets, run.allocation.ranks) {
      let exact = sum(target.name, adapters, strengths),
        best = DenseTruncation(
          exact, rows: target.delta.rows, columns: target.delta.columns)
      let tail = Dense.norm(Array(best.values.dropFirst(rank))), size = Dense.norm(exact)
      let stored = run.output.targets.first { $0.name == target.name }?.dense ?? exact.map { _ in 0 }
      let error = Dense.norm(zip(exact, stored).map { $0 - $1 })
      #expect(error <= (1 + 1e-10) * tail + 1e-12 * size, "\(comment): \(target.name), rank \(rank)")
      let entry = try #require(run.result.entries.first { $0.name == target.name })
      #expect(abs(entry.error - error) <= 1e-9 * size, "\(comment): \(target.name)")
      #expect(abs(entry.norm - size) <= 1e-12 * size, "\(comment): \(target.name)")
      lost += error * error
      total += size * size
    }
    #expect(abs(run.result.relativeError - (lost / total).squareRoot()) <= 1e-9, comment)
  }

  static let rules: [RankRule] = [
    .rank(1, conv: nil), .rank(3, conv: 2), .rank(100, conv: nil), .energy(0.9), .components(17), .exact,
  ]

  @Test("A resize writes the best of each rank", arguments: rules.indices, [0.1, 0, 0.7])
  func resize(_ rule: Int, steepness: Double) throws {
    let folder = try TemporaryFolder(), adapter = try differences(folder, seed: 3, steepness: steepness)
    var recipe = RefactorRecipe.resize(adapter.path, Self.rules[rule])
    recipe.dtype = .f64
    let run = try Refactoring(recipe, to: folder.file("out"))
    try check(run, [adapter], [1], "\(Self.rules[rule])")
  }

  @Test("So does a resize of Kronecker products, whose triples are not computed from the dense delta", arguments: rules)
  func resizeOfProducts(_ rule: RankRule) throws {
    let folder = try TemporaryFolder(), adapter = try kronecker(folder, seed: 9)
    try #require(adapter.targets.contains { $0.whole != nil })
    var recipe = RefactorRecipe.resize(adapter.path, rule)
    recipe.dtype = .f64
    try check(Refactoring(recipe, to: folder.file("out")), [adapter], [1], "\(rule)")
  }

  @Test("A merge of all kinds writes the best of each rank, and tells what each adapter keeps", arguments: rules)
  func merge(_ rule: RankRule) throws {
    let folder = try TemporaryFolder()
    let adapters = [
      try differences(folder, seed: 4), try plain(folder, seed: 5), try kronecker(folder, seed: 6),
      try differences(folder, seed: 7, rank: 2),
    ]
    let strengths = [0.7, -1.5, 1, 0.25]
    var recipe = RefactorRecipe.merge(adapters, strengths, rule)
    recipe.dtype = .f64
    let run = try Refactoring(recipe, to: folder.file("out"))
    try check(run, adapters, strengths, "\(rule)")
    let dry = try run.decomposed.prediction(run.allocation, output: "out", threads: 1)
    for (place, share) in run.result.shares.enumerated() {
      var kept = 0.0, own = 0.0
      for target in adapters[place].targets {
        let delta = target.dense
        own += strengths[place] * inner(delta, delta)
        kept += run.output.targets.first { $0.name == target.name }.map { inner(delta, $0.dense) } ?? 0
      }
      #expect(abs(try #require(share.retention) - kept / own) <= 1e-9, "\(rule), adapter \(place)")
      #expect(abs(try #require(dry.shares[place].retention) - kept / own) <= 1e-9, "\(rule), adapter \(place)")
    }
  }

  @Test("Bytes do not depend on threads, or on whether vectors are kept or found again")
  func bytes() throws {
    let folder = try TemporaryFolder()
    let adapters = [try differences(folder, seed: 4), try plain(folder, seed: 5)]
    let recipe = RefactorRecipe.merge(adapters, [1, 0.5], .rank(3, conv: nil))
    let one = folder.file("one"), two = folder.file("two")
    _ = try Refactoring(recipe, to: one, threads: 1)
    _ = try Refactoring(recipe, to: two, threads: 4)
    let bytes = FileManager.default.contents(atPath: one)
    #expect(bytes != nil && bytes == FileManager.default.contents(atPath: two))
  }

  @Test("Singular values are clipped, and the error is told")
  func clipping() throws {
    let folder = try TemporaryFolder(), adapter = try differences(folder, seed: 8)
    for rule: RankRule in [.exact, .rank(3, conv: nil)] {
      var recipe = RefactorRecipe.resize(adapter.path, rule)
      (recipe.clipping, recipe.dtype) = (.above(2), .f64)
      let run = try Refactoring(recipe, to: folder.file("clipped\(rule)"))
      for (target, rank) in zip(run.plan.targets, run.allocation.ranks) {
        let (rows, columns) = (target.delta.rows, target.delta.columns), exact = sum(target.name, [adapter], [1])
        let stored = try #require(run.output.targets.first { $0.name == target.name }).dense
        let values = Dense.singularValues(exact, rows: rows, columns: columns)
        let found = Dense.singularValues(stored, rows: rows, columns: columns)
        for (k, value) in found.enumerated() {
          #expect(abs(value - (k < rank ? min(2, values[k]) : 0)) <= 1e-10 * values[0], "\(target.name)")
        }
        let error = Dense.norm(zip(exact, stored).map { $0 - $1 })
        let entry = try #require(run.result.entries.first { $0.name == target.name })
        #expect(abs(entry.error - error) <= 1e-9 * Dense.norm(exact), "\(target.name)")
      }
    }
  }

  @Test("A delta of zeros stays one, and NaN and infinity are refused by name", arguments: [0, Double.nan, .infinity])
  func extremes(_ value: Double) throws {
    let folder = try TemporaryFolder()
    var other = filler("lora_unet_a.diff", [5, 6], .f64), bad = filler("lora_unet_b.diff", [4, 3], .f64)
    if value == 0 { bad.values = bad.values.map { _ in 0 } } else { bad.values[7] = value }
    other.values[0] = 1
    try writeAdapter(to: folder.file("a"), tensors: [other, bad])
    let recipe = RefactorRecipe.resize(folder.file("a"), .rank(2, conv: nil))
    guard value != 0 else {
      let run = try Refactoring(recipe, to: folder.file("out"))
      #expect(run.result.entries[1].norm == 0 && run.result.entries[1].error == 0)
      return
    }
    let error = #expect(throws: AdapterError.self) { try Refactoring(recipe, to: folder.file("out")) }
    #expect(error.map { "\($0)" }?.contains("lora_unet_b") == true)
  }
}
