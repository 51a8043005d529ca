import Checkpoints
import Kernels
import Networks
import Sampling
import Tensors
import TestSupport
import Testing

@testable import Rendering

@Suite struct PictureModelTests {
  private func model(_ name: String) throws -> PictureModel {
    try PictureModel(Checkpoint(path: Goldens.path("diffusion/\(name)")))
  }

  @Test("a model says what its latents mean")
  func latents() throws {
    let model = try model("sd1-pipeline"),
      configuration = try AutoencoderConfiguration(
        of: Checkpoint(path: Goldens.path("diffusion/sd1-pipeline")))
    #expect(model.latents.channels == 4 && model.latents.packing == 1)
    #expect(model.latents.reduction == configuration.reduction && model.latents.pixelStep == configuration.reduction)
    #expect(model.latents.scaling == LatentFormat.Scaling(configuration) && model.autoencoder == model.latents)
    let size = MapSize(height: 3 * model.latents.pixelStep, width: 5 * model.latents.pixelStep)
    #expect(model.latents.size(of: size) == MapSize(height: 3, width: 5) && model.latents.count(of: size) == 60)
  }

  @Test("only models with the same measures can be compared")
  func measures() throws {
    let one = try model("sd1-pipeline"), two = try model("sdxl-pipeline")
    #expect(one.hasDenoiser(like: one) && !one.hasDenoiser(like: two) && !two.hasDenoiser(like: one))
  }

  @Test("what only plain prompts lose is counted")
  func truncation() throws {
    let model = try model("sd1-pipeline"), long = Array(repeating: "fox", count: 80).joined(separator: " ")
    #expect(try model.truncatedTokens(of: "a fox", style: .plain) == 0)
    #expect(try model.truncatedTokens(of: long, style: .plain) > 0)
    #expect(try model.truncatedTokens(of: long, style: .a1111) == 0)
  }

  @Test("what a network refuses is told in this room's words")
  func refusals() throws {
    let path = Goldens.path("diffusion/sd1-pipeline/vae")
    let error = try #require(throws: RenderingError.self) { try PictureModel(Checkpoint(path: path)) }
    guard case .missing("a UNet", _) = error.kind else {
      Issue.record("\(error)")
      return
    }
    let unsupported = NetworkError(
      .configuration(field: "act_fn", expected: "silu", found: "mish"), file: "config.json")
    #expect(RenderingError(unsupported).description == unsupported.description)
    let missing = NetworkError(.missing("a VAE", hint: "look"), file: "model")
    #expect(RenderingError(missing).description == missing.description)
  }

  @Test("an autoencoder is told by its tensors, and says which latents it takes")
  func autoencoders() throws {
    let folder = try TemporaryFolder(), tiny = folder.file("taesd.safetensors")
    try writeTensors(
      [("1.weight", Tensor([Double](repeating: 0, count: 64 * 4 * 9), shape: [64, 4, 3, 3], dtype: .f16))], to: tiny)
    guard case .tiny(path: tiny) = try AutoencoderSource(path: tiny) else {
      Issue.record("a TAESD is not seen")
      return
    }
    #expect(try AutoencoderSource(path: tiny).latents() == LatentFormat(channels: 4, reduction: 8))
    let full = try AutoencoderSource(path: Goldens.path("diffusion/vae-two-levels/vae"))
    #expect(full.checkpoint != nil)
    #expect(try full.latents()?.reduction == 2 && AutoencoderSource.own.latents() == nil)
  }
}
