import Checkpoints
import Foundation
import Images
import JSON
import Kernels
import Models
import Safetensors
import Sampling
import Tensors
import TestSupport
import Testing

@testable import Rendering

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

/// A checkpoint that counts the weights that are asked for.
private final class CountedWeights: WeightSource {
  private let checkpoint: Checkpoint
  private(set) var counts: [Component: Int] = [:]

  init(_ checkpoint: Checkpoint) { self.checkpoint = checkpoint }

  func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    counts[name.component, default: 0] += 1
    return try checkpoint.weight(named: name, shape: shape)
  }
}

@Suite struct PipelineTests {
  @Test("renders diffusers' pictures of a tiny SD1 model", arguments: PipelineRun.all("sd1-pipeline"))
  func stableDiffusion1(_ run: PipelineRun) throws { try compare(run, "sd1-pipeline") }

  @Test("renders diffusers' pictures of a tiny SDXL model", arguments: PipelineRun.all("sdxl-pipeline"))
  func stableDiffusionXL(_ run: PipelineRun) throws { try compare(run, "sdxl-pipeline") }

  @Test("renders diffusers' pictures of a tiny Z-Image model", arguments: PipelineRun.all("zimage-pipeline"))
  func zImage(_ run: PipelineRun) throws {
    if run.name != "adapter" { try compare(run, "zimage-pipeline") }
  }

  @Test("texts that another renderer has read are not read again, and the picture is the same")
  func sharedTexts() throws {
    let checkpoint = try Checkpoint(path: Goldens.path("diffusion/sd1-pipeline")), model = try PictureModel(checkpoint)
    var request = RenderRequest(prompt: "a red fox", size: MapSize(height: 64, width: 64))
    request.steps = 1
    let first = CountedWeights(checkpoint), second = CountedWeights(checkpoint), texts = SharedTexts()
    func picture(_ weights: CountedWeights, _ request: RenderRequest, _ texts: SharedTexts) throws -> RGBImage {
      try Renderer(model, weights: weights, texts: texts, precision: .f32, threads: 1).render([request]).images[0]
    }
    let expected = try picture(first, request, texts), found = try picture(second, request, texts)
    #expect(first.counts[.textEncoder1, default: 0] > 10 && second.counts[.textEncoder1] == nil)
    #expect(second.counts[.denoiser] == first.counts[.denoiser] && found == expected)
    // Another text is no known one.
    request.prompt = "a blue fox"
    #expect(try picture(second, request, texts) != expected && second.counts[.textEncoder1] != nil)
  }

  private func compare(_ run: PipelineRun, _ pipeline: String) throws {
    let folder = Goldens.path("diffusion/\(pipeline)")
    let expected = try SafetensorsFile(path: "\(folder)/outputs.safetensors")
    let checkpoint = try Checkpoint(path: folder)
    var model = try PictureModel(checkpoint)
    let settings = Data(run.config.text.utf8)
    model.scheduler =
      model.scheduler.flow == nil
      ? try SchedulerSettings(json: settings) : SchedulerSettings(flow: try FlowSettings(json: settings))
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
