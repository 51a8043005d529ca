import Adapters
import FoundationEssentials
import Models
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that adapters in every dialect come out in the same dialect with the same deltas, whose dense values
/// libraries other than this one have computed, and cut to the ranks that were asked for.
@Suite struct DialectTests {
  /// Files in which every target is a plain LoRA.
  static let goldens = DialectGolden.all.filter { $0.unsupported.isEmpty && !$0.targets.isEmpty }

  /// The goldens of `source`'s targets as matrices of rows × columns.
  private func deltas(_ source: Adapter, _ golden: DialectGolden) throws -> [TargetKey: [Double]] {
    try Dictionary(
      uniqueKeysWithValues: source.targets.map { target in
        let name = golden.targets[target.name] == nil ? target.name.replacing("unet:", with: "") : target.name
        let delta = try #require(golden.targets[name], "\(target.name)").delta
        return (
          target.key, target.isTransposed ? Dense.transposed(delta, rows: target.inputs, columns: target.rows) : delta
        )
      })
  }

  private func output(_ golden: DialectGolden, _ folder: TemporaryFolder) -> String {
    folder.file(golden.format == "peft" ? "out" : "out.safetensors")
  }

  /// Rewrites a golden, which may hold tensors that belong to no target.
  private func resized(_ golden: DialectGolden, _ rule: RankRule, _ folder: TemporaryFolder) throws -> Refactoring {
    var recipe = RefactorRecipe.resize(golden.path, rule)
    recipe.keepsAllTargets = true
    return try Refactoring(recipe, to: output(golden, folder))
  }

  @Test("Rewriting at full rank keeps names, format and deltas", arguments: goldens)
  func exact(golden: DialectGolden) throws {
    let folder = try TemporaryFolder(), source = try Adapter(path: golden.path)
    let run = try resized(golden, .exact, folder)
    #expect(run.output.format == source.format)
    #expect(run.output.targets.count == golden.targets.count)
    let before = Dictionary(uniqueKeysWithValues: source.targets.map { ($0.key, $0) })
    let deltas = try deltas(source, golden), isOldest = golden.file == "diffusers_oldest.safetensors"
    for target in run.output.targets {
      let old = try #require(before[target.key], "\(target.name)")
      if isOldest {
        // Today's diffusers skips its names, so the output has today's.
        #expect(target.name.hasPrefix("unet.") && !target.name.contains("processor"))
      } else {
        #expect(target.name == old.name)
        #expect(target.names.up == old.names.up && target.names.down == old.names.down)
        #expect(target.names.alpha == old.names.alpha)
      }
      #expect(target.isTransposed == old.isTransposed)
      #expect(target.shape == old.shape)
      let limit = max(1.5 * old.dtype.unitRoundoff!, 1e-14)
      #expect(relativeDifference(target.dense, try #require(deltas[target.key])) <= limit, "\(target.name)")
    }
    #expect(run.output.passedThrough.map(\.name).sorted() == source.passedThrough.map(\.name).sorted())
    for (name, tensor) in source.passedThrough {
      let copy = try #require(run.output.passedThrough.first { $0.name == name }?.tensor)
      #expect(copy.doubles() == tensor.doubles() && copy.dtype == tensor.dtype)
    }
    #expect(
      try folder.names
        == (golden.format == "peft" && source.configuration != nil ? ["out"] : [fileName(output(golden, folder))]))
  }

  @Test("Cutting to rank 1 leaves the best approximation", arguments: goldens)
  func rankOne(golden: DialectGolden) throws {
    let folder = try TemporaryFolder(), run = try resized(golden, .rank(1, conv: nil), folder)
    let deltas = try deltas(Adapter(path: golden.path), golden)
    var lost = 0.0, total = 0.0
    for target in run.output.targets {
      let delta = try #require(deltas[target.key])
      let dense = DenseTruncation(delta, rows: target.rows, columns: target.columns)
      let limit = max(1.5 * target.dtype.unitRoundoff!, 1e-14)
      #expect(target.rank == 1)
      #expect(relativeDifference(target.dense, dense.approximation(rank: 1)) <= limit, "\(target.name)")
      let difference = zip(target.dense, delta).map { $0 - $1 }
      lost += inner(difference, difference)
      total += inner(delta, delta)
    }
    let error = (lost / total).squareRoot()
    #expect(abs(run.result.relativeError - error) <= max(1e-6 * error, 1e-7))
  }

  @Test("A PEFT configuration says the new ranks and nothing else is changed")
  func configuration() throws {
    let golden = try #require(DialectGolden.all.first { $0.file == "peft_patterns" })
    let folder = try TemporaryFolder(), run = try resized(golden, .rank(2, conv: nil), folder)
    let before = try #require(Adapter(path: golden.path).configuration), after = try #require(run.output.configuration)
    let changed: Set = ["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"]
    #expect(before.filter { !changed.contains($0.key) } == after.filter { !changed.contains($0.key) })
    #expect(after["r"] == .int(2))
    #expect(after["lora_alpha"] == .int(2))
    #expect(after["use_rslora"] == .bool(false))
    #expect(run.output.problems.isEmpty, "\(run.output.problems)")
    for target in run.output.targets {
      let old = try #require(Adapter(path: golden.path).targets.first { $0.name == target.name })
      if old.rank > target.rank {
        #expect(target.scale == 1 && target.alpha == Double(target.rank))
      } else {
        // What is not cut keeps its numbers, and with them its scale.
        #expect(target.scale == old.scale && target.up.doubles() == old.up.doubles())
      }
    }
  }

  @Test("A rank-stabilised adapter becomes a plain one with the same deltas")
  func rankStabilised() throws {
    let golden = try #require(DialectGolden.all.first { $0.file == "peft_rslora" })
    let folder = try TemporaryFolder(), run = try resized(golden, .exact, folder)
    #expect(try Adapter(path: golden.path).configuration?["use_rslora"] == .bool(true))
    #expect(run.output.configuration?["use_rslora"] == .bool(false))
    for target in run.output.targets {
      let old = try #require(Adapter(path: golden.path).targets.first { $0.name == target.name })
      #expect(relativeDifference(target.dense, old.dense) <= 1e-12, "\(target.name)")
    }
  }

  @Test("A format that numbers its targets keeps them all", arguments: [RankRule.energy(0.9), .size(.init(1))])
  func numbered(rule: RankRule) throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 3, .cloneofsimo)
    for index in 0..<4 { pico.add("unet:\(index)", rows: 8, inputs: 6, rank: 12, size: index == 2 ? 0 : 1) }
    try pico.write(to: path)
    var recipe = RefactorRecipe.resize(path, rule)
    if case .size = rule {
      // The smallest file that keeps one component of each, and room for some more.
      let plan = try DecomposedPlan(RefactorPlan(recipe), threads: 1)
      recipe.rule = .size(.init(plan.curve(points: 1)[0].bytes + 300))
    }
    let run = try Refactoring(recipe, to: folder.file("b.safetensors"))
    #expect(run.output.targets.map(\.name) == ["unet:0", "unet:1", "unet:2", "unet:3"])
    #expect(run.output.targets[2].dense.allSatisfy { $0 == 0 })
    for target in run.output.targets { #expect(run.output[metadata: "\(target.name):rank"] == "\(target.rank)") }
    let count = try folder.bytes(of: "b.safetensors").count
    #expect(run.result.bytes == count)
    if case .size(let limit) = recipe.rule { #expect(count <= limit.bytes) }
  }

  @Test("Ranks of two digits in the metadata are counted too")
  func digitsInMetadata() throws {
    let folder = try TemporaryFolder(), path = folder.file("a.safetensors")
    var pico = Pico(seed: 3, .cloneofsimo)
    for index in 0..<9 { pico.add("unet:\(index)", rows: 20, inputs: 20, rank: 14, decay: 0.95) }
    try pico.write(to: path)
    for extra in stride(from: 0, through: 20_000, by: 1999) {
      let plan = try DecomposedPlan(RefactorPlan(.resize(path, .exact)), threads: 1)
      // The recipe in the metadata will say `size` and a number instead of `exact`.
      let limit = plan.curve(points: 1)[0].bytes + 32 + extra
      let run = try Refactoring(.resize(path, .size(.init(limit))), to: folder.file("\(extra).safetensors"))
      let count = try folder.bytes(of: "\(extra).safetensors").count
      #expect(run.result.bytes == count)
      #expect(count <= limit)
    }
  }
}
