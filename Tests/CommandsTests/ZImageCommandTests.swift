import Foundation
import Images
import Safetensors
import TestSupport
import Testing

/// A tiny Z-Image as diffusers' pipeline wrote it, from the command line: pictures, adapters, probes, audits.
@Suite struct ZImageCommandTests {
  private let fixture: RenderFixture
  private static let model = Goldens.path("diffusion/zimage-pipeline")
  private static let adapters = ["adapter.safetensors", "adapter-kohya.safetensors"]

  init() throws { fixture = try RenderFixture() }

  private func path(_ adapter: String) -> String { "\(Self.model)/\(adapter)" }

  /// The request of diffusers' runs.
  private static let usual = ["--prompt", "a photo of the cat", "--steps", "4", "--size", "96x64", "--seed", "7"]

  private func differences(_ image: RGBImage, _ run: String) throws -> Int {
    let expected = try #require(
      SafetensorsFile(path: "\(Self.model)/outputs.safetensors")["\(run)/pixels"]
    ).bytes.withUnsafeBytes { [UInt8]($0) }
    #expect(expected.count == image.bytes.count)
    return zip(expected, image.bytes).count { abs(Int($0) - Int($1)) > 1 }
  }

  @Test("a picture is diffusers' picture")
  func picture() throws {
    let run = try fixture.render(Self.usual, model: Self.model)
    #expect(run.status == 0, "\(run.errors)")
    #expect(try differences(fixture.picture("out.png").image, "plain") * 1000 <= 3 * 64 * 96)
  }

  @Test("so it is with an adapter, in diffusers' names and in kohya's", arguments: adapters)
  func adapted(_ adapter: String) throws {
    let run = try fixture.render([path(adapter)] + Self.usual, model: Self.model)
    #expect(run.status == 0, "\(run.errors)")
    let image = try fixture.picture("out.png").image
    #expect(try differences(image, "adapter") * 1000 <= 3 * 64 * 96)
    // The adapter does something.
    #expect(try differences(image, "plain") * 10 > 3 * 64 * 96)
  }

  @Test("guidance away from a negative prompt")
  func guided() throws {
    let run = try fixture.render(
      Array(Self.usual.dropLast()) + ["8", "--cfg", "3.5", "--negative", "dark rain"], model: Self.model)
    #expect(run.status == 0, "\(run.errors)")
    #expect(try differences(fixture.picture("out.png").image, "guided") * 1000 <= 3 * 64 * 96)
  }

  @Test("a bake renders what its adapter renders")
  func baked() throws {
    let baked = fixture.folder.file("baked")
    let bake = try Tool.run(
      ["bake", Self.model, path(Self.adapters[0]), "-o", baked, "--dtype", "f32", "--quiet"])
    #expect(bake.status == 0, "\(bake.errors)")
    #expect(try fixture.render(Self.usual, model: baked, output: "a.png").status == 0)
    #expect(
      try fixture.render([path(Self.adapters[0])] + Self.usual, model: Self.model, output: "b.png").status == 0)
    #expect(try fixture.picture("a.png").image == fixture.picture("b.png").image)
  }

  @Test("a probe: nothing between a model and itself, something for an adapter, the same in both dialects")
  func probe() throws {
    func errors(_ arguments: [String]) throws -> (error: Double, effect: Double?) {
      let run = try Tool.run(
        ["compare", "--json", "--quiet", "--probe-size", "64x64", "--probe"] + arguments)
      #expect(run.status == 0, "\(run.errors)")
      let fields = try #require(run.json["noise_prediction"] as? [String: Any])
      return (try #require(fields["relative_error"] as? Double), fields["effect_error"] as? Double)
    }
    #expect(try errors([Self.model, Self.model]).error == 0)
    let paths = Self.adapters.map(path)
    #expect(try errors(paths + ["--base", Self.model]).effect == 0)
    let half = try #require(errors([paths[0], paths[0] + "@0.5", "--base", Self.model]).effect)
    #expect(half > 0.3 && half < 0.7, "\(half)")
  }

  @Test("an audit of a resize renders and probes")
  func audit() throws {
    let small = fixture.folder.file("small.safetensors"), adapter = path(Self.adapters[0])
    #expect(try Tool.run(["resize", adapter, "-o", small, "--rank", "1", "--quiet"]).status == 0)
    let run = try Tool.run([
      "audit", Self.model, "--before", adapter, "--after", small, "--json", "--quiet", "--size", "64x64", "--steps",
      "2",
      "--prompt", "a photo of a cat",
    ])
    #expect([0, 1].contains(run.status), "\(run.errors)")
    let names = (run.json["checks"] as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }
    #expect(names.contains { $0.hasPrefix("pictures.") } && names.contains { $0.hasPrefix("probe.") }, "\(names)")
  }

  @Test("what a flow does not have is refused in one line")
  func refusals() throws {
    for (arguments, status, message) in [
      (
        ["--sampler", "euler-a"], 64,
        "sampler: expected euler, ddim or dpm++2m for a rectified flow, found euler-a"
      ),
      (["--prediction", "v"], 64, "--prediction: expected a model with a table of noise, found a rectified flow"),
      (["--zero-snr"], 64, "--zero-snr: expected a model with a table of noise, found a rectified flow"),
      (["--size", "72x64"], 64, "--size: expected multiples of 16, found 72x64"),
    ] {
      let run = try fixture.render(arguments, model: Self.model)
      #expect(run.status == Int32(status), "\(arguments): \(run.status) \(run.errors)")
      #expect(run.errors.contains(message), "\(run.errors)")
      #expect(!FileManager.default.fileExists(atPath: fixture.out))
    }
    // A TAESD of four channels would read past what there is.
    for option in ["--preview", "--vae"] {
      let tiny = try fixture.tinyDecoder(), run = try fixture.render([option, tiny], model: Self.model)
      #expect(run.status == 65 && run.errors.contains("found 4"), "\(run.status) \(run.errors)")
    }
    let single = fixture.folder.file("single.safetensors")
    try SingleFile.write(of: Self.model, listing: "diffusion/zimage-pipeline/single-file.json", to: single)
    let run = try fixture.render([], model: single)
    #expect(run.status == 65)
    #expect(run.errors.contains("single.safetensors: expected a text encoder beside the transformer, found none"))
  }

  @Test("brackets are text, and a note says so")
  func brackets() throws {
    let run = try fixture.render(["--prompt", "a (photo:1.3) of the cat"], model: Self.model)
    #expect(run.status == 0 && run.errors.contains("which this model reads as text"), "\(run.errors)")
    let plain = try fixture.render(["--prompt", "a photo of the cat"], model: Self.model, output: "plain.png")
    #expect(plain.status == 0 && !plain.errors.contains("reads as text"), "\(plain.errors)")
    #expect(try fixture.picture("out.png").image != fixture.picture("plain.png").image)
  }
}
