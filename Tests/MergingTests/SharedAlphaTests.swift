import Adapters
import Checkpoints
import JSON
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that a file carries one alpha, whatever its inputs had, that the deltas do not change by that, and that names
/// without an alpha carry their ranks where loaders look for them.
@Suite struct SharedAlphaTests {
  private func mixed(_ folder: TemporaryFolder) throws -> Adapter {
    var pico = Pico(seed: 3)
    for (index, alpha) in [1.0, 6, 6, -2, 0].enumerated() {
      pico.add("lora_unet_\(index)", rows: 9 + index, inputs: 8, rank: 3 + index % 2, alpha: alpha)
    }
    pico.add("lora_unet_none", rows: 9, inputs: 8, rank: 2)
    return try pico.write(to: folder.file("a.safetensors"))
  }

  @Test(
    "Mixed alphas become the commonest, or the one that keeps the commonest scale",
    arguments: [
      (RankRule.exact, 6.0), (.energy(0.95), 6), (.rank(2, conv: nil), 6),
    ])
  func mixedAlphas(rule: RankRule, alpha: Double) throws {
    let folder = try TemporaryFolder(), source = try mixed(folder)
    let run = try Refactoring(.resize(source.path, rule), to: folder.file("b.safetensors"))
    let stored = Dictionary(uniqueKeysWithValues: run.output.targets.map { ($0.name, $0) })
    for target in source.targets where target.scale != 0 {
      let other = try #require(stored[target.name])
      #expect(other.alpha == (target.alpha == nil ? nil : alpha), "\(target.name)")
      let dense = DenseTruncation(target.dense, rows: target.rows, columns: target.columns)
      #expect(relativeDifference(other.dense, dense.approximation(rank: other.rank)) <= 2e-7, "\(target.name)")
    }
    #expect(stored["lora_unet_4"] == nil, "alpha 0 is no delta")
  }

  @Test("One rank for all keeps the scale", arguments: 1...3)
  func commonRank(rank: Int) throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 4)
    for index in 0..<3 { pico.add("lora_unet_\(index)", rows: 9, inputs: 8, rank: 4, alpha: 2) }
    let source = try pico.write(to: folder.file("a.safetensors"))
    let run = try Refactoring(.resize(source.path, .rank(rank, conv: nil)), to: folder.file("b.safetensors"))
    #expect(run.output.targets.allSatisfy { $0.scale == 0.5 && $0.alpha == Double(rank) / 2 })
    #expect(run.output[metadata: "ss_network_alpha"] == (rank == 2 ? "1" : String(Double(rank) / 2)))
  }

  @Test("Names of diffusers carry their ranks in the metadata where these differ, and only there")
  func patterns() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 5, .diffusers)
    for index in 0..<12 {
      let size = 1 / Double(index + 1)
      pico.add("unet.up_blocks.\(index).attn1.to_q", rows: 30, inputs: 8 + index, rank: 8, size: size, decay: 0.95)
      pico.add("text_encoder.layers.\(index).self_attn.q_proj", rows: 8, inputs: 6, rank: 4, size: size)
    }
    let source = try pico.write(to: folder.file("a.safetensors"))
    let same = try Refactoring(.resize(source.path, .rank(2, conv: nil)), to: folder.file("same.safetensors"))
    #expect(same.output[metadata: "lora_adapter_metadata"] == nil)
    let smallest = try DecomposedPlan(RefactorPlan(.resize(source.path, .exact)), threads: 1).curve(points: 1)[0].bytes
    // The limit changes which targets and ranks stand in the metadata; every byte of them is in the limit.
    for extra in stride(from: 700, through: 26_000, by: 1777) {
      let limit = smallest + extra, name = "\(extra).safetensors"
      let run = try Refactoring(.resize(source.path, .size(.init(limit))), to: folder.file(name))
      let count = try folder.bytes(of: name).count
      #expect(count <= limit)
      #expect(run.result.bytes == count)
      #expect(run.result.lowerBound! <= run.result.relativeError + 1e-7)
      let fields = try #require(JSONValue(parsing: run.output[metadata: "lora_adapter_metadata"] ?? "")?.object)
      for target in run.output.targets {
        let (component, module) = target.name.split(separator: ".", maxSplits: 1).pair
        #expect(fields["\(component).rank_pattern"]?.object?[module] == .int(target.rank))
        #expect(target.scale == 1)
      }
      let count2 = ["unet", "text_encoder"].reduce(0) { $0 + (fields["\($1).rank_pattern"]?.object?.count ?? 0) }
      #expect(count2 == run.output.targets.count)
      #expect(run.output.problems.isEmpty)
    }
  }
}

extension [Substring] {
  fileprivate var pair: (String, String) { (String(self[0]), String(self[1])) }
}
