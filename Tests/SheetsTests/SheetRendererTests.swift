import Factoring
import Images
import Kernels
import Prompts
import Rendering
import TestSupport
import Testing

@testable import Sheets

/// A sheet as users of the library make it, without the command line.
@Suite struct SheetRendererTests {
  private let base = Goldens.path("diffusion/sd1-pipeline")

  private func request() -> RenderRequest {
    var request = RenderRequest(prompt: "", size: MapSize(height: 16, width: 16))
    request.steps = 1
    return request
  }

  @Test("pictures and sheet are written, and the same in memory")
  func sheet() throws {
    let folder = try TemporaryFolder(), adapters = try SheetAdapters(base: base, inputs: [])
    let model = try PictureModel(adapters.base)
    let plan = try SheetPlan(
      prompts: [SheetPlan.Prompt("a fox")], seeds: [1, 2], given: adapters.given, output: folder.file("out.png"))
    let texts = try SheetTexts(request(), model: model, adapters: adapters, precision: .f32)
    let renderer = SheetRenderer(plan, adapters: adapters, model: model, texts: texts, threads: 1)
    var steps: [Int] = []
    let result = try renderer.run { if case .step(let step, of: _) = $0 { steps.append(step) } }
    #expect(try renderer.stepCount == 2 && steps == [1, 2])
    #expect(result.pictures.count == 2 && result.pictures[0] != result.pictures[1])
    let single = try Renderer(model, weights: adapters.base, precision: .f32, threads: 1).render(
      [1, 2].map { (seed: UInt64) in
        var request = request()
        (request.prompt, request.seed) = ("a fox", seed)
        return request
      })
    #expect(single.images == result.pictures)
    for (picture, path) in zip(result.pictures, plan.pictures.map(\.path)) {
      #expect(try PNGPicture(path: #require(path)).image == picture)
    }
    #expect(try PNGPicture(path: folder.file("out.png")).image == #require(result.sheet))
    // Nothing is replaced unasked.
    #expect(throws: (any Error).self) { try renderer.run() }
  }

  @Test("a tag's adapter that is in none of the folders is named, with where it was looked for")
  func missingTag() throws {
    let tags = try PromptTags(of: "<lora:none:0.5> a fox", style: .a1111).tags
    let error = try #require(throws: SheetError.self) {
      try SheetAdapters(base: base, inputs: [], tags: [tags], folders: ["here"])
    }
    #expect(error.description == "prompt: <lora:none>: expected none.safetensors in here, ., found none")
  }
}
