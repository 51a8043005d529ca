import Foundation
import TestSupport
import Testing

/// Models that cannot be rendered, and what a picture must not depend on.
@Suite struct RenderModelTests {
  /// A copy of the tiny SD1 model with one text of a file replaced.
  private func model(_ fixture: RenderFixture, _ name: String, _ old: String, _ new: String) throws -> String {
    let folder = fixture.folder.file("model")
    try FileManager.default.copyItem(atPath: RenderFixture.sd1, toPath: folder)
    let file = URL(filePath: "\(folder)/\(name)"), text = try String(contentsOf: file, encoding: .utf8)
    try #require(text.contains(old))
    try text.replacing(old, with: new).write(to: file, atomically: true, encoding: .utf8)
    return folder
  }

  private func expectRefusal(_ fixture: RenderFixture, _ model: String, _ message: String) throws {
    let run = try fixture.render([], model: model)
    #expect(run.status == 65)
    #expect(run.errors.contains(message), "\(run.errors)")
    #expect(run.errors.split(separator: "\n").count == 1)
    #expect(!FileManager.default.fileExists(atPath: fixture.out))
  }

  @Test("an inpainting UNet is refused by its nine channels")
  func inpainting() throws {
    let fixture = try RenderFixture()
    let folder = try model(fixture, "unet/config.json", "\"in_channels\": 4", "\"in_channels\": 9")
    try expectRefusal(
      fixture, folder, "the UNet's input: expected 4 channels, found 9; hint: this is an inpainting model")
  }

  @Test("a transformer is refused by its family")
  func transformer() throws {
    let fixture = try RenderFixture(), path = fixture.folder.file("flux.safetensors")
    try writeAdapter(
      to: path, tensors: [("double_blocks.0.img_attn.qkv.weight", [6, 2], .f32, Array(repeating: 0.5, count: 12))])
    try expectRefusal(
      fixture, path, "model: expected a Stable Diffusion 1, 2 or XL model or Z-Image, found a Flux.1 model")
  }

  @Test("a configuration that is broken is an error, and no reason to guess")
  func configuration() throws {
    let fixture = try RenderFixture()
    let folder = try model(fixture, "vae/config.json", "{", "")
    try expectRefusal(fixture, folder, "vae/config.json: content: expected a JSON object")
  }

  @Test("a TAESD is refused by a model whose latents it cannot decode", arguments: ["--vae", "--preview"])
  func otherReduction(_ option: String) throws {
    let fixture = try RenderFixture(), folder = fixture.folder.file("model"), tiny = try fixture.tinyDecoder()
    try FileManager.default.copyItem(atPath: RenderFixture.sd1, toPath: folder)
    try FileManager.default.removeItem(atPath: "\(folder)/vae")
    try FileManager.default.copyItem(atPath: Goldens.path("diffusion/vae-two-levels/vae"), toPath: "\(folder)/vae")
    let run = try fixture.render([option, tiny], model: folder)
    #expect(run.status == 65)
    #expect(
      run.errors
        == "lathe: error: \(tiny): autoencoder: expected 2 pixels for each latent one as the model has it, found 8\n")
  }

  @Test("without guidance the negative prompt has no part in a picture, however long it is")
  func unguided() throws {
    let fixture = try RenderFixture(), long = Array(repeating: "fog", count: 100).joined(separator: " ")
    #expect(try fixture.render(["--cfg", "1"], output: "a.png").status == 0)
    #expect(try fixture.render(["--cfg", "1", "--negative", long], output: "b.png").status == 0)
    #expect(try fixture.picture("a.png").image == fixture.picture("b.png").image)
    // With guidance it has.
    #expect(try fixture.render(["--cfg", "4"], output: "c.png").status == 0)
    #expect(try fixture.render(["--cfg", "4", "--negative", long], output: "d.png").status == 0)
    #expect(try fixture.picture("c.png").image != fixture.picture("d.png").image)
  }
}
