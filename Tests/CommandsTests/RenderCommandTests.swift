import Checkpoints
import Foundation
import Images
import Kernels
import Rendering
import Sampling
import TestSupport
import Testing

/// What `render` tells scripts, which files it makes, and that these are the engine's pictures.
@Suite(.serialized) struct RenderCommandTests {
  let fixture: RenderFixture

  init() throws { fixture = try RenderFixture() }

  private func images(_ run: Tool.Run) -> [[String: Any]] { run.json["images"] as? [[String: Any]] ?? [] }
  private func strengths(_ run: Tool.Run, _ key: String = "strengths") -> [[Double]] {
    images(run).map { $0[key] as? [Double] ?? [] }
  }

  // MARK: Pictures

  @Test("one picture is the engine's, and says how it was made")
  func single() throws {
    let run = try fixture.render(
      [
        "--json", "--negative", "blurry, dark", "--seed", "7", "--sampler", "dpm++2m-karras", "--steps", "3", "--cfg",
        "5",
      ])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(try fixture.folder.names == ["out.png"])
    let checkpoint = try Checkpoint(path: RenderFixture.sd1)
    var request = RenderRequest(prompt: "a photo of a cat", size: MapSize(height: 64, width: 64))
    (request.negativePrompt, request.seed, request.sampler, request.steps) = ("blurry, dark", 7, .dpm2MKarras, 3)
    request.guidance = Guidance(scale: 5)
    let expected = try Renderer(PictureModel(checkpoint), weights: checkpoint, precision: .f32, threads: 2)
      .render([request])
    let picture = try fixture.picture("out.png")
    #expect(picture.image == expected.images[0])
    #expect(
      picture.parameters == """
        a photo of a cat
        Negative prompt: blurry, dark
        Steps: 3, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: 7, Size: 64x64, Model: sd1-pipeline, RNG: CPU, \
        Precision: f32, Version: Lathe 0.1.0
        """)
    #expect(run.json["schema"] as? String == "lathe.render/1" && run.json["dtype"] as? String == "f32")
    #expect(run.json["seconds_per_step"] as? Double ?? -1 > 0 && run.json["sheet"] is NSNull)
    #expect(run.json["peak_memory"] as? Int ?? 0 > 0 && run.json["dry_run"] as? Bool == false)
    #expect(images(run).count == 1 && images(run)[0]["path"] as? String == fixture.out)
    #expect(images(run)[0]["prompt"] as? String == "a photo of a cat" && images(run)[0]["seed"] as? Int == 7)
    #expect(strengths(run) == [[]])
  }

  @Test("several prompts and seeds: numbered files row by row, each what it is alone, and a sheet")
  func several() throws {
    try fixture.folder.write(Array("\u{feff}# two\r\n\r\n  a dog \r\nAn old house\n".utf8), to: "prompts.txt")
    let run = try fixture.render([
      "--json", "--prompts", fixture.folder.file("prompts.txt"), "--batch", "2", "--seed", "4",
    ])
    #expect(run.status == 0 && run.errors.isEmpty)
    let names = ["out-01.png", "out-02.png", "out-03.png", "out-04.png"]
    #expect(try fixture.folder.names == names + ["out.png", "prompts.txt"])
    #expect(images(run).map { $0["path"] as? String ?? "" } == names.map(fixture.folder.file))
    #expect(images(run).map { $0["prompt"] as? String } == ["a dog", "a dog", "An old house", "An old house"])
    #expect(images(run).map { $0["seed"] as? Int } == [4, 5, 4, 5])
    let alone = try fixture.render(["--prompt", "An old house", "--seed", "5"], output: "alone.png")
    #expect(alone.status == 0)
    #expect(try fixture.folder.bytes(of: "alone.png") == fixture.folder.bytes(of: "out-04.png"))
    #expect(try fixture.picture("out-03.png").image != fixture.picture("out-04.png").image)
    let sheet = try fixture.picture("out.png")
    #expect(sheet.image.width > 2 * 64 && sheet.image.height > 2 * 64)
    #expect(sheet.parameters?.hasPrefix("a dog\nAn old house\nSteps: 2, ") == true)
  }

  @Test("the same bytes with one thread and with two", arguments: [RenderFixture.sd1, RenderFixture.sdxl])
  func threads(model: String) throws {
    let style = try fixture.adapter(of: model)
    #expect(try fixture.render([style, "--threads", "1"], model: model, output: "one.png").status == 0)
    #expect(try fixture.render([style, "--threads", "2"], model: model, output: "two.png").status == 0)
    #expect(try fixture.folder.bytes(of: "one.png") == fixture.folder.bytes(of: "two.png"))
  }

  @Test(
    "bf16 is another arithmetic", .enabled(if: NativeBackend.precisions.contains(.bf16), "the processor has no bf16"))
  func precision() throws {
    #expect(try fixture.render([]).status == 0)
    let run = try fixture.render(["--json", "--precision", "bf16"], output: "half.png")
    #expect(run.status == 0 && run.json["dtype"] as? String == "bf16")
    let exact = try fixture.picture("out.png"), half = try fixture.picture("half.png")
    #expect(half.image != exact.image && half.parameters?.contains("Precision: bf16") == true)
  }

  @Test("an empty negative prompt is another thing than none for SDXL, and the same for SD1")
  func negative() throws {
    for model in [RenderFixture.sd1, RenderFixture.sdxl] {
      #expect(try fixture.render(["--force"], model: model, output: "none.png").status == 0)
      #expect(try fixture.render(["--force", "--negative", ""], model: model, output: "empty.png").status == 0)
      let isEqual = try fixture.picture("none.png").image == fixture.picture("empty.png").image
      #expect(isEqual == (model == RenderFixture.sd1))
    }
  }

  @Test("a first picture gives the size and is noted")
  func start() throws {
    let first = try fixture.folder.write(
      RGBImage(width: 83, height: 61, filledWith: RGBColor(red: 200, green: 90, blue: 30)).pngData(), to: "first.png")
    let run = try Tool.run([
      "render", RenderFixture.sd1, "--init", first, "--denoise", "0.5", "--steps", "4", "--prompt", "a cat", "-o",
      fixture.out, "--json",
    ])
    #expect(run.status == 0 && run.json["denoise"] as? Double == 0.5 && run.json["init"] as? String == first)
    let picture = try fixture.picture("out.png")
    #expect(picture.image.width == 80 && picture.image.height == 64)
    #expect(picture.parameters?.contains("Size: 80x64, Model: sd1-pipeline, Denoising strength: 0.5,") == true)
    #expect(try fixture.render(["--size", "80x64", "--steps", "4"], output: "other.png").status == 0)
    #expect(try fixture.picture("other.png").image != picture.image)
  }

  // MARK: Adapters

  @Test(
    "adapters give the picture of the checkpoint that bake makes of them",
    arguments: [RenderFixture.sd1, RenderFixture.sdxl])
  func baked(model: String) throws {
    let style = try fixture.adapter(of: model), hero = try fixture.adapter("hero.safetensors", of: model, seed: 2)
    let adapters = [style + "@0.8", hero + "@0.6,-0.2", "--block-weights", style + "=M00:0.5"]
    let baked = fixture.folder.file("baked")
    #expect(try Tool.run(["bake", model] + adapters + ["-o", baked, "--dtype", "f32"]).status == 0)
    #expect(try fixture.render(adapters, model: model, output: "added.png").status == 0)
    #expect(try fixture.render([], model: baked, output: "baked.png").status == 0)
    #expect(try fixture.render([], model: model, output: "base.png").status == 0)
    let added = try fixture.picture("added.png")
    #expect(try added.image == fixture.picture("baked.png").image)
    #expect(try added.image != fixture.picture("base.png").image)
    #expect(added.parameters?.contains(#"Adapters: "style 0.8, hero 0.6,-0.2", Version"#) == true)
  }

  @Test("a sweep's columns are the strengths; at 0 it is the base, byte for byte")
  func sweep() throws {
    let style = try fixture.adapter()
    let run = try fixture.render(["--json", style + "@0.5,1", "--sweep", "0,0.5,1"])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(strengths(run) == [[0], [0.25], [0.5]] && strengths(run, "text_encoder_strengths") == [[0], [0.5], [1]])
    #expect(run.json["sheet"] as? String == fixture.out)
    let adapter = (run.json["adapters"] as? [[String: Any]])?.first
    #expect(adapter?["file"] as? String == style && adapter?["strength"] as? Double == 0.5)
    #expect(adapter?["targets"] as? Int ?? 0 > 20 && adapter?["targets"] as? Int == adapter?["fitting"] as? Int)
    #expect(try fixture.render([], output: "base.png").status == 0)
    #expect(try fixture.folder.bytes(of: "out-01.png") == fixture.folder.bytes(of: "base.png"))
    #expect(try fixture.render([style + "@0.25,0.5"], output: "half.png").status == 0)
    #expect(try fixture.folder.bytes(of: "out-02.png") == fixture.folder.bytes(of: "half.png"))
    #expect(try fixture.render([style + "@0"], output: "zero.png").status == 0)
    #expect(try fixture.folder.bytes(of: "zero.png") == fixture.folder.bytes(of: "base.png"))
  }

  @Test("columns whose text encoders are the same share what the prompt says, and are what each is alone")
  func sweepOfTheUNet() throws {
    let style = try fixture.adapter()
    #expect(try fixture.render([style + "@1,0", "--sweep", "0,0.5,1"]).status == 0)
    #expect(try fixture.render([style + "@0.5,0"], output: "half.png").status == 0)
    #expect(try fixture.folder.bytes(of: "out-02.png") == fixture.folder.bytes(of: "half.png"))
    #expect(try fixture.folder.bytes(of: "out-02.png") != fixture.folder.bytes(of: "out-03.png"))
  }

  @Test("a grid has the base, each adapter alone, and all together")
  func grid() throws {
    let style = try fixture.adapter(), hero = try fixture.adapter("hero.safetensors", seed: 2)
    let run = try fixture.render(
      ["--json", style + "@0.8", hero + "@0.6", "--grid", "--prompt", "a cat", "--prompt", "a dog", "--sheet-only"])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(try fixture.folder.names == ["hero.safetensors", "out.png", "style.safetensors"])
    let row: [[Double]] = [[0, 0], [0.8, 0], [0, 0.6], [0.8, 0.6]]
    #expect(strengths(run) == row + row && images(run).allSatisfy { $0["path"] is NSNull })
    let sheet = try fixture.picture("out.png")
    // Four columns and two rows of 64 pixels, with 8 between.
    #expect(sheet.image.width >= 4 * 72 && sheet.image.width < 6 * 72 + 80)
    #expect(sheet.parameters?.contains(#"Sheet: base; style 0.8; hero 0.6; style 0.8 + hero 0.6"#) == true)

    let swept = try fixture.render(
      ["--json", style, "--grid", "--sweep", "0,0.5,1", "--dry-run"], output: "swept.png")
    #expect(strengths(swept) == [[0], [0.5], [1]])
  }

  @Test("a tag is an adapter for its prompt alone")
  func tags() throws {
    let style = try fixture.adapter(), other = try TemporaryFolder()
    let run = try fixture.render(
      [
        "--json", "--adapter-folder", fixture.folder.path, "--prompt", "<lora:style:0.5:0.8>a photo of a cat",
        "--prompt",
        "a photo of a cat",
      ])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(strengths(run) == [[0.8], [0]] && strengths(run, "text_encoder_strengths") == [[0.5], [0]])
    #expect((run.json["adapters"] as? [[String: Any]])?.first?["strength"] is NSNull)
    #expect(try fixture.render([style + "@0.8,0.5"], output: "given.png").status == 0)
    #expect(try fixture.render([], output: "base.png").status == 0)
    #expect(try fixture.picture("out-01.png").image == fixture.picture("given.png").image)
    #expect(try fixture.folder.bytes(of: "out-02.png") == fixture.folder.bytes(of: "base.png"))
    #expect(try fixture.picture("out-01.png").parameters?.hasPrefix("<lora:style:0.5:0.8>a photo of a cat\n") == true)

    // Beside an adapter of the command line, whose strength a tag adds to.
    let beside = try fixture.render(
      ["--json", style + "@0.3", "--prompt", "<lora:style:0.5>a photo of a cat"], output: "beside.png")
    #expect(beside.status == 0 && abs((strengths(beside).first?.first ?? .nan) - 0.8) <= 1e-12)

    let missing = try Tool.run(
      [
        "render", RenderFixture.sd1, "--prompt", "<lora:style:0.5>a cat", "--adapter-folder", other.path, "-o",
        other.file("x.png"),
      ], in: other.path)
    #expect(missing.status == 66)
    #expect(
      missing.errors
        == "lathe: error: prompt: <lora:style>: expected style.safetensors in \(other.path), ., found none; "
        + "hint: --adapter-folder names another folder\n")
    let plain = try fixture.render(["--prompt", "<lora:none:1> a cat", "--prompt-style", "plain"], output: "plain.png")
    #expect(plain.status == 0)
  }

  @Test("what is left out is listed, with exit code 2")
  func unmatched() throws {
    let style = try fixture.adapter("xl.safetensors", of: RenderFixture.sdxl)
    let refused = try fixture.render([style])
    #expect(refused.status == 65 && refused.output.isEmpty && refused.errors.hasPrefix("lathe: error: \(style): "))
    #expect(try fixture.folder.names == ["xl.safetensors"])
    let run = try fixture.render(["--json", style, "--allow-unmatched"])
    let adapter = (run.json["adapters"] as? [[String: Any]])?.first
    let skipped = run.json["skipped"] as? [String] ?? []
    #expect(run.status == 2 && !skipped.isEmpty && skipped.allSatisfy { $0.hasPrefix(style + ": ") })
    let fitting = adapter?["fitting"] as? Int ?? -1
    #expect(skipped.count + fitting == adapter?["targets"] as? Int)
  }

  @Test("hashes are noted when they are asked for")
  func hashes() throws {
    let style = try fixture.adapter()
    #expect(try fixture.render([style, "--hashes"]).status == 0)
    let inspected = try Tool.run(["inspect", style, "--json"])
    let hash = (inspected.json["hashes"] as? [String: Any])?["autov3"] as? String ?? "none"
    #expect(try fixture.picture("out.png").parameters?.contains(#"Lora hashes: "style: \#(hash)""#) == true)
  }

  // MARK: Other decoders

  @Test("a TAESD decodes, and shows unfinished pictures that go away; also when the render is stopped")
  func tiny() throws {
    let decoder = try fixture.tinyDecoder()
    #expect(try fixture.render([]).status == 0)
    #expect(try fixture.render(["--vae", decoder], output: "tiny.png").status == 0)
    #expect(try fixture.picture("tiny.png").image != fixture.picture("out.png").image)
    let vae = try fixture.render(["--vae", RenderFixture.sd1 + "/vae"], output: "vae.png")
    #expect(vae.status == 0)
    #expect(try fixture.picture("vae.png").image == fixture.picture("out.png").image)

    let before = try fixture.folder.names, streams = try TemporaryFolder()
    let arguments = [
      "render", RenderFixture.sd1, "--prompt", "a cat", "--size", "64x64", "--preview", decoder, "--preview-every", "1",
      "-o", fixture.folder.file("new.png"), "--steps",
    ]
    let process = try Tool.start(arguments + ["900"], output: streams.file("o"), errors: streams.file("e"))
    while process.isRunning, try !fixture.folder.names.contains("new.preview.png") { usleep(500) }
    let unfinished = try fixture.picture("new.preview.png").image
    #expect(unfinished.width == 64 && unfinished.height == 64)
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 128 + SIGINT)
    #expect(try fixture.folder.names == before)

    #expect(try Tool.run(arguments + ["3"]).status == 0)
    #expect(try fixture.folder.names == (before + ["new.png"]).sorted())
    try fixture.folder.write([1], to: "new.preview.png")
    let refused = try fixture.render(["--preview", decoder], output: "new.png")
    #expect(refused.status == 73 && refused.errors.contains("new.png: exists already"))
    try FileManager.default.removeItem(atPath: fixture.folder.file("new.png"))
    #expect(try fixture.render(["--preview", decoder], output: "new.png").status == 73)
    #expect(try fixture.folder.bytes(of: "new.preview.png") == [1])
  }

  // MARK: Before the work

  @Test("a dry run checks and tells, and writes nothing")
  func dryRun() throws {
    let style = try fixture.adapter(), before = try fixture.folder.names
    let run = try fixture.render(["--json", style, "--sweep", "0,1", "--dry-run"])
    #expect(run.status == 0 && run.errors.isEmpty && run.json["dry_run"] as? Bool == true)
    #expect(run.json["seconds_per_step"] is NSNull && run.json["estimated_memory"] as? Int ?? 0 > 1_000_000)
    #expect(images(run).count == 2 && images(run)[1]["path"] as? String == fixture.folder.file("out-02.png"))
    #expect(try fixture.folder.names == before)
    let text = try fixture.render(["--dry-run"], output: nil)
    #expect(text.status == 0 && text.output.contains("(dry run: nothing was written)"))
  }

  @Test("nothing is overwritten without being asked")
  func existing() throws {
    try fixture.folder.write([1, 2, 3], to: "out-02.png")
    let refused = try fixture.render(["--batch", "2"])
    #expect(refused.status == 73 && refused.output.isEmpty)
    #expect(
      refused.errors
        == "lathe: error: \(fixture.folder.file("out-02.png")): exists already; hint: --force overwrites it\n")
    #expect(try fixture.folder.names == ["out-02.png"] && fixture.folder.bytes(of: "out-02.png") == [1, 2, 3])
    #expect(try fixture.render(["--batch", "2", "--force"]).status == 0)
    #expect(try fixture.picture("out-02.png").image.width == 64)
  }

  @Test("a limit on file sizes fails like a full disk, and leaves no half of a file")
  func fileLimit() throws {
    let run = try Tool.run(
      ["render", RenderFixture.sd1, "--prompt", "a cat", "--size", "64x64", "--steps", "1", "-o", fixture.out],
      after: "ulimit -f 4")
    #expect(run.status == 74 && run.output.isEmpty)
    #expect(run.errors == "lathe: error: \(fixture.out): cannot write: File too large\n")
    #expect(try fixture.folder.names.isEmpty)
  }

  @Test("what does not fit into a plain prompt is told")
  func truncation() throws {
    let prompt = Array(repeating: "cat", count: 90).joined(separator: " ")
    let run = try fixture.render(["--prompt", prompt, "--prompt-style", "plain"])
    #expect(run.status == 0 && run.errors.hasPrefix("lathe: warning: prompt: the last 15 tokens of \"cat cat"))
    #expect(try fixture.render(["--prompt", prompt], output: "all.png").errors.isEmpty)
    #expect(try fixture.picture("all.png").image != fixture.picture("out.png").image)
  }
}
