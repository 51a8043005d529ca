import Adapters
import JSON
import Tensors
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that adapters can be made, cut and merged without a file, and that what comes out is what a file would hold.
@Suite struct InMemoryTests {
  private func factors(_ seed: UInt64, rank: Int = 4) -> [(target: String, up: Tensor, down: Tensor, alpha: Double?)] {
    var random = SplitMix64(seed: seed)
    return ["lora_unet_mid_block_attentions_0_proj_in", "lora_unet_mid_block_attentions_0_proj_out"].map {
      (
        $0, Tensor(random.gaussians(9 * rank), shape: [9, rank], dtype: .f32),
        Tensor(random.gaussians(rank * 7), shape: [rank, 7], dtype: .f32), 2
      )
    }
  }

  @Test("An adapter of factors has their deltas")
  func made() throws {
    let given = factors(1), adapter = try Adapter(factors: given, title: "mine")
    #expect(adapter.path == "mine" && adapter.format == .kohya && adapter.problems.isEmpty)
    #expect(adapter.targets.map(\.name) == given.map(\.target))
    for (target, factor) in zip(adapter.targets, given) {
      #expect(target.scale == 0.5)
      let (up, down) = (factor.up.doubles(), factor.down.doubles())
      var expected = [Double](repeating: 0, count: 9 * 7)
      for row in 0..<9 {
        for column in 0..<7 {
          for k in 0..<4 { expected[row * 7 + column] += 0.5 * up[row * 4 + k] * down[k * 7 + column] }
        }
      }
      #expect(relativeDifference(target.dense, expected) <= 1e-15)
    }
  }

  @Test("Tensors that are no adapter are refused by the title that they were given")
  func refused() {
    let error = #expect(throws: AdapterError.self) {
      try Adapter(tensors: [("weight", Tensor([1], shape: [1], dtype: .f32))], title: "mine")
    }
    #expect(error?.description.hasPrefix("mine: ") == true)
  }

  @Test(
    "A resize and a merge in memory are those of files, to the bit", arguments: [RankRule.rank(2, conv: nil), .exact])
  func same(rule: RankRule) throws {
    let folder = try TemporaryFolder()
    let seeds: [UInt64] = [1, 2], own = try seeds.map { try Adapter(factors: factors($0)) }
    let stored = try seeds.map { seed in
      var pico = Pico(seed: 0)
      for factor in factors(seed) {
        for (end, tensor) in [("lora_up.weight", factor.up), ("lora_down.weight", factor.down)] {
          pico.add("\(factor.target).\(end)", tensor.shape.extents, .f32, tensor.doubles())
        }
        pico.add(factor.target + ".alpha", [], .f32, [2])
      }
      return try pico.write(to: folder.file("\(seed).safetensors"))
    }
    func check(_ mine: RefactorRecipe, _ adapters: [Adapter], _ files: RefactorRecipe) throws {
      let plan = try DecomposedPlan(RefactorPlan(mine, adapters: adapters), threads: 2)
      let (output, result) = try plan.adapter(plan.allocation(), titled: "small", threads: 2)
      let run = try Refactoring(files, to: folder.file("out.safetensors"), overwriting: true)
      #expect(output.path == "small" && result.output == "small")
      #expect(result.relativeError == run.result.relativeError)
      let (mine, theirs) = (try #require(output.data), try #require(run.output.data))
      #expect(mine.withUnsafeBytes(Array.init) == theirs.withUnsafeBytes(Array.init))
      #expect(output[metadata: "sshs_model_hash"] == run.output[metadata: "sshs_model_hash"])
    }
    try check(.init(resizing: own[0], rule: rule), [own[0]], .resize(stored[0].path, rule))
    try check(
      .init(merging: [(own[0], 0.7), (own[1], -0.3)], rule: rule), own, .merge(stored, [0.7, -0.3], rule))
  }

  @Test("An adapter with a configuration keeps it")
  func configured() throws {
    let name = "base_model.model.layers.0.q_proj",
      configuration = try #require(
        JSONValue(parsing: "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"use_rslora\":true}"))
    let one = factors(3)[0]
    let adapter = try Adapter(
      tensors: [(name + ".lora_A.weight", one.down), (name + ".lora_B.weight", one.up)], configuration: configuration)
    #expect(adapter.format == .peft && adapter.targets[0].scale == 4)
    let plan = try DecomposedPlan(
      RefactorPlan(.init(resizing: adapter, rule: .rank(2, conv: nil)), adapters: [adapter]), threads: 1)
    let output = try plan.adapter(plan.allocation(), titled: "style.safetensors", threads: 1).adapter
    #expect(output.configuration?["r"] == .int(2) && output.targets[0].rank == 2)
  }
}
