import Foundation
import TestSupport
import Testing

/// What an error counts, on the command line: relative to the base, and by pictures, on the example model.
@Suite struct WeighTests {
  let folder: TemporaryFolder
  let prompts: String

  init() throws {
    folder = try TemporaryFolder()
    prompts = folder.file("prompts.txt")
    let lines = [
      "a red robot with a blue hat on the beach", "a yellow cat waving under the night sky",
      "a purple ghost in a forest",
      "a blue knight with a yellow scarf in the desert", "a pink rabbit with green glasses in a meadow",
      "a green monster jumping in the city", "a white rabbit with a red crown in the snow",
      "an orange cat with a purple bow on a plain background",
    ]
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: prompts))
  }

  private var pictures: [String] {
    ["--weigh", "pictures", "--base", Toybox.model, "--prompts", prompts, "--cfg", "4"]
  }

  private func resize(_ name: String, to output: String, _ arguments: [String]) throws -> [String: Any] {
    let run = try Tool.run(["resize", Toybox.adapter(name), "-o", output, "--force", "--json"] + arguments)
    guard run.status == 0 else { throw Toybox.Failure(errors: run.errors) }
    return run.json
  }

  /// The error of the final latents on prompts that were not drawn before.
  private func latentError(of output: String, from name: String) throws -> Double {
    let run = try Tool.run(
      [
        "audit", Toybox.model, "--before", Toybox.adapter(name), "--after", output, "--strengths", "1", "--steps", "8",
        "--cfg", "4", "--json", "--force", "-o", folder.file("audit"),
        "--prompt", "a tiny orange monster with a white scarf on the beach",
        "--prompt", "a blue ghost with a red balloon in the city", "--prompt", "a green knight waving in the snow",
        "--prompt", "a purple cat with yellow glasses under the night sky",
      ])
    guard run.status == 0 || run.status == 1 else { throw Toybox.Failure(errors: run.errors) }
    let checks = run.json["checks"] as? [[String: Any]] ?? []
    return checks.first { $0["name"] as? String == "latents.effect_error" }?["value"] as? Double ?? .nan
  }

  @Test("A cut by pictures leaves much less of the error in the final latents", arguments: [(10, 0.8), (25, 0.4)])
  func latents(share: Int, most: Double) throws {
    let (plain, weighed) = (folder.file("plain.safetensors"), folder.file("weighed.safetensors"))
    let before = try resize("popart", to: plain, ["--size", "\(share)%"])
    let after = try resize("popart", to: weighed, ["--size", "\(share)%"] + pictures)
    #expect((after["bytes"] as? Int ?? .max) <= share * 2_861_538 / 100)
    let found = try latentError(of: weighed, from: "popart"), old = try latentError(of: plain, from: "popart")
    #expect(found <= most * old, "\(found) against \(old)")
    // What pictures feel is less, what weights lose is more, and both are told.
    let error = after["relative_error"] as? Double ?? .nan,
      weighted = after["weighted_relative_error"] as? Double ?? .nan
    #expect(error >= before["relative_error"] as? Double ?? .nan && weighted <= error)
    #expect(after["weigh"] as? String == "pictures")
    #expect((after["weighted_lower_bound"] as? Double ?? .nan) <= weighted)
    // A bound that holds for every choice of ranks holds for the plain cut too.
    #expect((after["lower_bound"] as? Double ?? .nan) <= before["relative_error"] as? Double ?? .nan)
  }

  @Test("The same bytes with any number of threads, and the recipe says what was drawn")
  func threads() throws {
    let outputs = try ["1", "2"].map { threads in
      let output = folder.file("\(threads).safetensors")
      _ = try resize("sketch", to: output, ["--size", "20%", "--threads", threads] + pictures)
      return try Data(contentsOf: URL(filePath: output))
    }
    #expect(outputs[0] == outputs[1])
    let metadata = try Tool.run(["metadata", "get", folder.file("1.safetensors"), "lathe.recipe"]).output
    for part in ["\"weigh\":\"pictures\"", "\"weigh_prompts\":8", "\"weigh_seeds\":[0,1,2", "\"weigh_cfg\":4"] {
      #expect(metadata.contains(part), "\(metadata)")
    }
  }

  @Test("A table of sensitivities is enough where there is no base")
  func tableAlone() throws {
    let output = folder.file("out.safetensors"), table = Goldens.example("Toybox/model.sensitivity.json")
    let report = try resize("popart", to: output, ["--size", "25%", "--weigh", "pictures", "--sensitivity", table])
    #expect(report["weigh"] as? String == "pictures")
    let plain = folder.file("plain.safetensors")
    _ = try resize("popart", to: plain, ["--size", "25%"])
    #expect(try latentError(of: output, from: "popart") <= 0.97 * latentError(of: plain, from: "popart"))
  }

  @Test("The table alone knows text encoders too")
  func tableOfTexts() throws {
    let table = Goldens.example("Toybox/model.sensitivity.json")
    let run = try Tool.run([
      "resize", Toybox.adapter("lumi"), "-o", folder.file("out.safetensors"), "--size", "25%", "--weigh", "pictures",
      "--sensitivity", table,
    ])
    #expect(run.status == 0 && !run.errors.contains("no known sensitivity"), "\(run.errors)")
  }

  @Test("A search that chooses the format writes the file that it has measured")
  func untilAuto() throws {
    let output = folder.file("out.safetensors")
    let report = try resize(
      "sepia-r64", to: output,
      [
        "--until", "effect<=0.4", "--dtype", "auto", "--base", Toybox.model, "--prompt", "a red robot",
        "--picture-size", "64x64",
      ])
    let until = report["until"] as? [String: Any], tries = until?["tries"] as? [[String: Any]] ?? []
    let best = tries.filter { $0["passes"] as? Bool == true }.compactMap { $0["bytes"] as? Int }.min()
    #expect(best != nil && best == report["bytes"] as? Int, "\(String(describing: until))")
  }

  @Test("Long prompts and short ones are drawn, and a long negative one changes no sensitivity of the texts' layers")
  func lengths() throws {
    let long = Array(repeating: "a red robot with a blue hat", count: 16).joined(separator: " and ")
    func layers(_ arguments: [String]) throws -> [Double] {
      let run = try Tool.run(
        [
          "sensitivity", Toybox.model, "-o", folder.file("s.json"), "--force", "--cfg", "4", "--json",
          "--picture-size", "32x32",
        ] + arguments)
      guard run.status == 0 else { throw Toybox.Failure(errors: run.errors) }
      let layers = run.json["layers"] as? [[String: Any]] ?? []
      return layers.filter { ($0["layer"] as? String)?.hasPrefix("textEnc") == true }.map {
        $0["sensitivity"] as? Double ?? .nan
      }
    }
    #expect(try layers(["--prompt", "a cat", "--prompt", long]).allSatisfy(\.isFinite))
    let plain = try layers(["--prompt", "a cat"]), guided = try layers(["--prompt", "a cat", "--negative", long])
    #expect(plain.count == 12)
    for (a, b) in zip(plain, guided) { #expect(b <= 10 * a && a <= 10 * b, "\(a) and \(b)") }
  }

  @Test("A weight that is not finite counts like the middle one of the others")
  func brokenBase() throws {
    let (adapter, base) = (folder.file("a.safetensors"), folder.file("base.safetensors"))
    var pico = Pico(seed: 6)
    for name in ["x", "y", "z"] { pico.add("lora_unet_\(name)", rows: 6, inputs: 5, rank: 3, alpha: 3) }
    try pico.write(to: adapter)
    var broken = filler("x.weight", [6, 5])
    broken.values[3] = .infinity
    try writeAdapter(to: base, tensors: [broken, filler("y.weight", [6, 5]), filler("z.weight", [6, 5])])
    let run = try Tool.run([
      "resize", adapter, "-o", folder.file("o.safetensors"), "--max-error", "0.5", "--base", base,
    ])
    #expect(run.status == 0 && run.errors.contains("or one of no finite size"), "\(run.errors)")
  }

  @Test(
    "Eight bits hold factors whatever alpha is, and a size for no component is too small", arguments: [0.25, 1, 64])
  func alphas(alpha: Double) throws {
    let adapter = folder.file("a.safetensors"), output = folder.file("o.safetensors")
    var pico = Pico(seed: 7)
    for name in ["x", "y", "z"] {
      pico.add("lora_unet_\(name)", rows: 40, inputs: 30, rank: 16, alpha: alpha, decay: 0.97)
    }
    try pico.write(to: adapter)
    let run = try Tool.run(["resize", adapter, "-o", output, "--rank", "9", "--dtype", "f8_e4m3", "--json"])
    #expect(run.status == 0, "\(run.errors)")
    let wide = try Tool.run(["resize", adapter, "-o", output, "--rank", "9", "--force", "--json"])
    let errors = [run, wide].map { $0.json["relative_error"] as? Double ?? .nan }
    #expect(errors[0] <= (errors[1] * errors[1] + 0.05 * 0.05).squareRoot(), "\(errors)")
    let tiny = try Tool.run(["resize", adapter, "-o", folder.file("t.safetensors"), "--size", "1KB"])
    #expect(tiny.status == 64 && tiny.errors.contains("size: expected at least"), "\(tiny.errors)")
  }

  @Test("Factors that are no numbers are named before anything is drawn")
  func notFinite() throws {
    let broken = try BrokenCopies(of: Toybox.adapter("sketch"), in: folder)
    let run = try Tool.run(
      ["resize", broken.notFinite, "-o", folder.file("o.safetensors"), "--size", "20%"] + pictures)
    #expect(run.status == 65 && run.errors.contains("expected finite values"), "\(run.errors)")
    #expect(run.errors.contains("lora_unet"), "\(run.errors)")
  }

  @Test("Of two equal deltas the one on smaller weights keeps more")
  func base() throws {
    let (adapter, base) = (folder.file("a.safetensors"), folder.file("base.safetensors"))
    var pico = Pico(seed: 5)
    pico.add("lora_unet_x", rows: 12, inputs: 10, rank: 8, alpha: 8, decay: 0.9)
    let tensors =
      pico.tensors + pico.tensors.map { ($0.name.replacing("unet_x", with: "unet_y"), $0.shape, $0.dtype, $0.values) }
    try writeAdapter(to: adapter, tensors: tensors)
    var weight = filler("x.weight", [12, 10])
    try writeAdapter(
      to: base,
      tensors: [
        weight,
        {
          weight.name = "y.weight"; weight.values = weight.values.map { 10 * $0 }; return weight
        }(),
      ])
    func ranks(_ arguments: [String]) throws -> [String: Int] {
      let run = try Tool.run(
        ["resize", adapter, "-o", folder.file("out.safetensors"), "--force", "--json", "--max-error", "0.3"] + arguments
      )
      #expect(run.status == 0, "\(run.errors)")
      let targets = run.json["targets"] as? [[String: Any]] ?? []
      return Dictionary(uniqueKeysWithValues: targets.map { ($0["name"] as! String, $0["rank_after"] as! Int) })
    }
    let plain = try ranks([]), weighed = try ranks(["--base", base])
    // What is left of the error is given back to one of the two.
    #expect(abs(plain["lora_unet_x"]! - plain["lora_unet_y"]!) <= 1)
    #expect(weighed["lora_unet_x"]! > weighed["lora_unet_y"]! + 1)
    #expect(try ranks(["--base", base, "--weigh", "base"]) == weighed)
    #expect(try ranks(["--base", base, "--weigh", "absolute"]) == plain)
  }

  @Test("What a merge cannot weigh is said in one line")
  func mergeRefusals() throws {
    let recipe = folder.file("m.yaml")
    let text = "adapters: [{file: \(Toybox.adapter("sketch"))}]\nsize: 300kB\nmethod: fair\n"
    try Data(text.utf8).write(to: URL(filePath: recipe))
    let both = [Toybox.adapter("sketch"), Toybox.adapter("popart")]
    for (arguments, line) in [
      (["--recipe", recipe] + pictures, "--weigh pictures: expected no other method beside it, found fair"),
      (both + pictures, "--weigh pictures: expected a rank, energy, error or size to cut to, found none"),
      (["--recipe", recipe, "--weigh", "pictures"], "--weigh pictures: expected --base <checkpoint>"),
      (both + ["--dtype", "auto"], "--dtype auto: expected --size, --max-error or --until to choose by"),
    ] {
      let run = try Tool.run(["merge", "-o", folder.file("x.safetensors")] + arguments)
      #expect(run.status == 64 && run.errors.contains(line), "\(run.errors)")
    }
  }

  @Test("A merge is cut by pictures, with an adapter at a negative strength")
  func merge() throws {
    let output = folder.file("merged.safetensors")
    let run = try Tool.run(
      [
        "merge", Toybox.adapter("sketch") + "@0.8", Toybox.adapter("popart") + "@-0.4", "-o", output, "--size", "400kB",
        "--json",
      ]
        + pictures)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.json["weigh"] as? String == "pictures")
    let adapters = run.json["adapters"] as? [[String: Any]] ?? []
    #expect(adapters.count == 2 && adapters.allSatisfy { ($0["retention"] as? Double ?? .nan).isFinite })
  }

  @Test(
    "What cannot be weighed is said in one line",
    arguments: [
      (["--weigh", "base"], "--weigh base: expected --base <checkpoint> beside it, found none"),
      (
        ["--weigh", "pictures"],
        "--weigh pictures: expected --base <checkpoint>, or --sensitivity <file>, beside it, found neither"
      ),
      (
        ["--weigh", "pictures", "--base", Toybox.model],
        "--weigh pictures: expected --prompts or --prompt beside it, found neither"
      ),
      (["--sensitivity", "x.json"], "--sensitivity: expected --weigh pictures beside it, found none"),
      (
        ["--weigh", "pictures", "--base", Toybox.model, "--prompt", "a cat", "--picture-size", "100x100"],
        "--picture-size: expected multiples of 8 up to 16384, found 100x100"
      ),
      (
        ["--dtype", "auto", "--rank", "4"],
        "--dtype auto: expected --size, --max-error or --until to choose by, found none"
      ),
    ])
  func refusals(arguments: [String], line: String) throws {
    let rule = arguments.contains("--rank") ? [] : ["--size", "10%"]
    let run = try Tool.run(
      ["resize", Toybox.adapter("sketch"), "-o", folder.file("out.safetensors")] + rule + arguments)
    #expect(run.status == 64 && run.errors.contains(line), "\(run.errors)")
    #expect(try folder.names == ["prompts.txt"])
  }

  @Test("A file that is no table, and a table that knows none of the targets")
  func tables() throws {
    let table = folder.file("t.json"), output = folder.file("out.safetensors")
    func json(_ family: String, _ sensitivity: String = "1") -> String {
      #"{"schema":"lathe.sensitivity/1","version":"1","base":[],"family":"\#(family)","prompts":[],"size":[1,1],"cfg":1,"#
        + #""seed":0,"layers":[{"layer":"denoiser.x","group":"g","sensitivity":\#(sensitivity),"inputs":4,"input_energy":1}]}"#
    }
    for (text, line) in [
      ("{}", "expected a table of sensitivities"), ("[", "expected a table of sensitivities"),
      (json("SD1.x"), "expected targets that the table of sensitivities knows, found none"),
      (json("SDXL"), "expected sensitivities of SD1.x, found those of SDXL"),
      (json("SD1.x", "1e90"), "expected numbers of 0 or of 1e-60 to 1e60, found another"),
    ] {
      try Data(text.utf8).write(to: URL(filePath: table))
      let run = try Tool.run(
        [
          "resize", Toybox.adapter("sketch"), "-o", output, "--size", "10%", "--weigh", "pictures", "--sensitivity",
          table,
        ])
      #expect(run.status == 65 && run.errors.contains(line), "\(run.errors)")
    }
  }

  @Test("One byte a number where the tail is long, two where nothing is cut")
  func formats() throws {
    let output = folder.file("out.safetensors")
    let long = try resize("sepia-r64", to: output, ["--size", "5%", "--dtype", "auto"])
    #expect((long["format"] as? [String: Any])?["dtype"] as? String == "f8_e4m3")
    let wide = try resize("sketch", to: output, ["--size", "100%", "--dtype", "auto"])
    #expect((wide["format"] as? [String: Any])?["dtype"] as? String == "f16")
    // What is foretold is what is measured.
    for (report, key) in [(long, "predicted_error"), (wide, "predicted_error")] {
      let foretold = (report["format"] as? [String: Any])?[key] as? Double ?? .nan
      let measured = report["relative_error"] as? Double ?? .nan
      #expect(abs(foretold - measured) <= 0.3 * max(measured, 1e-3), "\(foretold) against \(measured)")
    }
    // PEFT's format has no place for a scale.
    let peft = try resize("neon", to: folder.file("neon"), ["--size", "10%", "--dtype", "auto"])
    #expect((peft["format"] as? [String: Any])?["dtype"] as? String == "f16")
  }

  @Test("Sensitivities of the example model: the last blocks are felt most, the middle hardly")
  func sensitivity() throws {
    let output = folder.file("s.json")
    let run = try Tool.run(
      ["sensitivity", Toybox.model, "-o", output, "--prompt", "a red robot on the beach", "--cfg", "4", "--json"])
    #expect(run.status == 0, "\(run.errors)")
    let layers = run.json["layers"] as? [[String: Any]] ?? []
    let values = layers.map { ($0["layer"] as? String ?? "", $0["sensitivity"] as? Double ?? .nan) }
    #expect(values.count == 213 && values.allSatisfy { $0.1 >= 0 })
    let blocks = values.filter { $0.0.contains("_block") && $0.0.hasPrefix("denoiser.") }.sorted { $0.1 > $1.1 }
    #expect(blocks.prefix(8).allSatisfy { $0.0.contains("up_blocks.2") }, "\(blocks.prefix(8))")
    let median = blocks[blocks.count / 2].1
    #expect(blocks.filter { $0.0.contains("mid_block") }.allSatisfy { $0.1 <= 0.05 * median })
    #expect(try folder.names.contains("s.json.partial") == false)
    // What somebody else has called so is left alone.
    try Data("mine".utf8).write(to: URL(filePath: folder.file("t.json.partial")))
    let foreign = try Tool.run(["sensitivity", Toybox.model, "-o", folder.file("t.json")])
    #expect(foreign.status == 65 && foreign.errors.contains("t.json.partial: expected no file"), "\(foreign.errors)")
    // A second time nothing is replaced.
    #expect(try Tool.run(["sensitivity", Toybox.model, "-o", output]).status == 73)
  }
}
