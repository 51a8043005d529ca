import Checkpoints
import Foundation
import Images
import Kernels
import Safetensors
import Sampling
import Tensors
import TestSupport
import Testing

@testable import Diffusion

/// A picture that diffusers made of a tiny model: `Tests/Goldens/diffusion/*/runs.json`.
struct PipelineRun: Decodable, CustomStringConvertible {
  let name: String
  let sampler: SamplerKind
  let seeds: [UInt64]
  let images: Int
  let prompt: String
  let negative_prompt: String?
  let num_inference_steps: Int
  let guidance_scale: Float
  let guidance_rescale: Float?
  let height: Int?
  let width: Int?
  let clip_skip: Int?
  let strength: Double?
  let image: String?
  let encoded: String?
  let original_size: [Float]?
  let crops_coords_top_left: [Float]?
  let target_size: [Float]?
  let config: JSONValue
  let timesteps: [Float]

  var description: String { name }

  var size: MapSize { MapSize(height: height ?? 64, width: width ?? 64) }

  func requests(folder: String) throws -> [RenderRequest] {
    try seeds.map { seed in
      var request = RenderRequest(prompt: prompt, size: size)
      request.negativePrompt = negative_prompt
      request.style = .plain
      request.seed = seed
      request.sampler = sampler
      request.steps = num_inference_steps
      // diffusers' pipelines tell their schedulers 0 unless they are told otherwise.
      request.eta = sampler.defaultEta == nil ? nil : 0
      request.guidance = Guidance(scale: guidance_scale, rescale: guidance_rescale ?? 0)
      request.textLayersSkipped = clip_skip ?? 0
      if let strength, let image {
        let picture = try PNGPicture(path: "\(folder)/\(image)").image
        request.start = RenderRequest.Start(image: picture, strength: strength, draws: encoded != "mean")
      }
      if original_size != nil || crops_coords_top_left != nil || target_size != nil {
        let own = [Float(size.height), Float(size.width)]
        request.sizes = (original_size ?? own) + (crops_coords_top_left ?? [0, 0]) + (target_size ?? own)
      }
      return request
    }
  }

  static func all(_ pipeline: String) -> [PipelineRun] {
    do {
      let runs = try JSONDecoder().decode([PipelineRun].self, from: Goldens.data("diffusion/\(pipeline)/runs.json"))
      // A batch from one generator is not offered: each picture has its own seed. Where clip skip is for the prompt
      // alone, as diffusers has it, ours is for the negative prompt too.
      return runs.filter { !($0.images > 1 && $0.seeds.count == 1) && !skipsPromptOnly($0, pipeline) }
    } catch { fatalError("Tests/Goldens/diffusion/\(pipeline)/runs.json: \(error)") }
  }

  private static func skipsPromptOnly(_ run: PipelineRun, _ pipeline: String) -> Bool {
    run.clip_skip != nil && (run.name.hasSuffix("prompt") || pipeline == "sdxl-pipeline")
  }
}

@Suite struct PipelineTests {
  @Test("renders diffusers' pictures of a tiny SD1 model", arguments: PipelineRun.all("sd1-pipeline"))
  func stableDiffusion1(_ run: PipelineRun) throws { try compare(run, "sd1-pipeline") }

  @Test("renders diffusers' pictures of a tiny SDXL model", arguments: PipelineRun.all("sdxl-pipeline"))
  func stableDiffusionXL(_ run: PipelineRun) throws { try compare(run, "sdxl-pipeline") }

  private func compare(_ run: PipelineRun, _ pipeline: String) throws {
    let folder = Goldens.path("diffusion/\(pipeline)")
    let expected = try SafetensorsFile(path: "\(folder)/outputs.safetensors")
    let checkpoint = try Checkpoint(path: folder)
    var model = try PictureModel(checkpoint)
    model.scheduler = try SchedulerSettings(json: Data(run.config.text.utf8))
    let renderer = Renderer(model, weights: checkpoint, precision: .f32, threads: 2)
    let result = try renderer.render(run.requests(folder: folder))

    let latents = try #require(expected["\(run.name)/latents"]).floats()
    let size = latents.reduce(0) { max($0, abs($1)) }
    let difference = largestDifference(result.latents.flatMap { $0 }, latents)
    // Three steps with guidance of 5 multiply the rounding of a single one.
    #expect(difference <= 3e-4 * size, "latents of \(run.name) differ by \(difference) of \(size)")
    let pixels = try #require(expected["\(run.name)/pixels"])
    let bytes = pixels.bytes.withUnsafeBytes { [UInt8]($0) }, own = result.images.flatMap(\.bytes)
    #expect(bytes.count == own.count)
    let far = zip(bytes, own).count { abs(Int($0) - Int($1)) > 1 }
    #expect(far * 1000 <= bytes.count, "\(far) of \(bytes.count) levels differ by more than one")
  }
}
