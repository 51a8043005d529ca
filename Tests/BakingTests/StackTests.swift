import Adapters
import Checkpoints
import Factoring
import Models
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Proves that adapters on a base give the sums that their strengths say, whichever of them are used.
@Suite struct StackTests {
  private let bench: Bench
  private let one = Change("lora_unet_conv_in", 4, 3, kernel: [1, 1], alpha: 1, seed: 3)
  private let other = Change("lora_unet_conv_in", 4, 3, kernel: [1, 1], alpha: 2, seed: 4)
  private let weight: [Double]

  init() throws {
    bench = try Bench()
    var random = SplitMix64(seed: 9)
    weight = Tensor(random.gaussians(12), shape: [12], dtype: .f32).doubles()
    try bench.base([("conv_in.weight", [4, 3, 1, 1], .f32, weight), ("conv_in.bias", [4], .f32, [1, 2, 3, 4])])
    try bench.adapter([one], "one.safetensors")
    try bench.adapter([other, Change("lora_unet_nowhere", 4, 3, seed: 5)], "other.safetensors")
  }

  private func stack(_ strengths: [Double]) throws -> Stack {
    let names = ["one.safetensors", "other.safetensors"]
    return try Stack(
      zip(names, strengths).map { (try Adapter(path: bench.path($0)), $1) },
      on: Checkpoint(path: bench.path("base.safetensors")))
  }

  private func values(_ stack: Stack) throws -> [Double] {
    try stack.weights.weight(named: .init(.denoiser, "conv_in.weight"), shape: [4, 3, 1, 1]).doubles()
  }

  @Test(
    "Weights are the base and every adapter at its strength", arguments: [[1, 0], [0.5, -2], [0, 0]] as [[Double]])
  func sums(strengths: [Double]) throws {
    let expected = plus(plus(weight, one.delta, strengths[0]), other.delta, strengths[1])
    #expect(relativeDifference(try values(try stack(strengths)), expected) <= 1e-6)
  }

  @Test("Strengths can be multiplied, and adapters be used alone or twice")
  func uses() throws {
    let stack = try stack([0.5, 1])
    let scaled = stack.scaled(by: -2)
    #expect(scaled.layers.map(\.input.strength) == [-1, -2])
    let half = plus(plus(weight, one.delta, -1), other.delta, -2)
    #expect(relativeDifference(try values(scaled), half) <= 1e-6)
    var input = stack.layers[1].input
    input.strength = 0.25
    let twice = stack.using([(1, input), (1, input)])
    #expect(twice.layers.count == 2 && twice.targetCount == 2)
    #expect(relativeDifference(try values(twice), plus(weight, other.delta, 0.5)) <= 1e-6)
    #expect(try values(stack.using([])) == weight)
  }

  @Test("What has no place in the base is told, or refused; at strength 0 it is nobody's business")
  func misfits() throws {
    let stack = try stack([1, 1])
    #expect(stack.layers.map(\.misfits.count) == [0, 1] && stack.targetCount == 2)
    let told = try stack.leftOut(allowingMisfits: true)
    #expect(told.count == 1 && told[0].contains("other.safetensors: lora_unet_nowhere: "))
    #expect(throws: BakingError.self) { try stack.leftOut(allowingMisfits: false) }
    let silent = try self.stack([1, 0])
    #expect(try silent.leftOut(allowingMisfits: false) == [] && silent.targetCount == 1)
  }

  @Test("A plan of what is open writes what a plan of paths writes")
  func opened() throws {
    let inputs = [AdapterInput(path: bench.path("one.safetensors"), strength: 0.7)]
    let recipe = BakeRecipe(base: bench.path("base.safetensors"), inputs: inputs)
    let plan = try BakePlan(
      recipe, adapters: [Adapter(path: inputs[0].path)], on: Checkpoint(path: recipe.base))
    _ = try plan.write(to: bench.path("opened.safetensors"), overwriting: false, threads: 1)
    try bench.bake(inputs)
    #expect(try bench.folder.bytes(of: "opened.safetensors") == bench.folder.bytes(of: "out.safetensors"))
  }
}
