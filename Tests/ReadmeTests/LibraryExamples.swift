// The README's examples of the library. `ReadmeTests` runs them, and finds each in the README line by line.
import Adapters
import Baking
import Checkpoints
import Factoring
import Foundation
import Kernels
import Merging
import Rendering
import Spectra
import Tensors

func inspect(style: String) throws -> Int {
  let adapter = try Adapter(path: style)
  print(adapter.family.name, adapter.targets.count, adapter.problems)
  let spectrum = try AdapterSpectrum(of: adapter, threads: 4)
  return spectrum.total.spectrum.rank(keepingEnergy: 0.95)
}

func shrink(up: Tensor, down: Tensor) throws -> Adapter {
  let adapter = try Adapter(factors: [("lora_unet_mid_block_attentions_0_proj_in", up, down, alpha: 8)])
  let recipe = RefactorRecipe(resizing: adapter, rule: .maxError(0.1))
  let plan = try DecomposedPlan(RefactorPlan(recipe, adapters: [adapter]), threads: 4)
  return try plan.adapter(plan.allocation(), threads: 4).adapter
}

func merge(style: String, character: String, output: String) throws -> RefactorResult {
  let adapters = try [style, character].map { try Adapter(path: $0) }
  let recipe = RefactorRecipe(merging: [(adapters[0], 0.8), (adapters[1], 0.6)], rule: .size(ByteCount(300_000)))
  let plan = try DecomposedPlan(RefactorPlan(recipe, adapters: adapters), threads: 4)
  return try plan.write(plan.allocation(), to: output, overwriting: false, threads: 4) { done in
    print("\(done) of \(plan.spectra.count) targets")
  }
}

func bake(base: String, style: String, output: String, undo: String) throws -> BakeResult {
  let plan = try BakePlan(BakeRecipe(base: base, inputs: [AdapterInput(path: style, strength: 0.8)]))
  print(plan.targetCount, plan.findings, plan.skipped)
  return try plan.write(to: output, undo: undo, overwriting: false, threads: 4)
}

func render(base: String, style: String, output: String) async throws {
  let checkpoint = try Checkpoint(path: base)
  let stack = try Stack([(Adapter(path: style), strength: 0.8)], on: checkpoint)
  let renderer = Renderer(try PictureModel(checkpoint), weights: stack.weights, precision: .f32, threads: 4)
  var request = RenderRequest(prompt: "a robot in a forest", size: MapSize(height: 64, width: 64))
  request.steps = 4
  let picture = try await renderer.render([request]).images[0]
  try Data(picture.pngData()).write(to: URL(filePath: output))
}
