import Files
import Foundation
import Safetensors
import Tensors
import TestSupport
import Testing

/// What `check`, `bake` and `unbake` tell scripts: fields, exit codes, warnings, and which files they make.
@Suite struct BakeCommandTests {
  let folder: TemporaryFolder
  let style: String
  let base: String

  init() throws {
    folder = try TemporaryFolder()
    style = try Fixture.adapter(in: folder)
    base = try Fixture.base(in: folder)
  }

  private var out: String { folder.file("out.safetensors") }
  private func keys(_ value: Any?) -> Set<String> { Set((value as? [String: Any] ?? [:]).keys) }
  private func first(_ json: [String: Any], _ key: String) -> Any? { (json[key] as? [Any])?.first }

  private func hash(_ path: String) throws -> String {
    ContentHash.sha256(Bytes(copying: [UInt8](try Data(contentsOf: URL(filePath: path)))))
  }

  // MARK: check

  @Test("check says that an adapter fits, and which weights it changes")
  func checkFits() throws {
    let run = try Tool.run(["check", "--json", style, base])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(run.json["schema"] as? String == "lathe.check/1")
    #expect(run.json["fits"] as? Bool == true && run.json["resolved"] as? Int == 3)
    #expect(run.json["missing"] as? Int == 0 && run.json["shape_mismatches"] as? Int == 0)
    #expect(run.json["family"] as? String == "SD1.x" && run.json["base_family"] as? String == "SD1.x")
    #expect(run.json["trained_on"] as? String == "sd_v1" && run.json["family_mismatch"] is NSNull)
    let target = first(run.json, "targets") as? [String: Any]
    #expect(keys(target) == ["name", "fits", "weights", "reason"])
    #expect((target?["weights"] as? [String])?.first?.hasPrefix("model.diffusion_model.input_blocks.1.") == true)
    let text = try Tool.run(["check", "--targets", style, base])
    #expect(text.status == 0 && text.output.hasPrefix("\(style) fits \(base): all 3 targets have their weight\n"))
  }

  @Test("check explains an adapter that does not fit, with exit code 65")
  func checkMisfit() throws {
    let other = try Fixture.base(in: folder, "sdxl.safetensors", context: 2048)
    let run = try Tool.run(["check", "--json", style, other])
    #expect(run.status == 65 && run.errors.isEmpty)
    #expect(run.json["fits"] as? Bool == false && run.json["resolved"] as? Int == 2)
    #expect(run.json["shape_mismatches"] as? Int == 1)
    #expect(run.json["family_mismatch"] as? String == "this is an SD1.x adapter; the checkpoint is SDXL")
    let text = try Tool.run(["check", style, other])
    #expect(text.status == 65 && text.output.contains("shape: expected [32, 2048], found [32, 768]"))
  }

  @Test("check does not take an adapter whose targets are broken, and says what they are")
  func checkBroken() throws {
    let half = folder.file("half.safetensors")
    let name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    try writeAdapter(to: half, tensors: [filler(name + ".lora_up.weight", [32, 4])])
    let problem = "\(name): factors: expected a down factor, found none; hint: the file is incomplete"
    let run = try Tool.run(["check", "--json", half, base])
    #expect(run.status == 65 && run.errors.isEmpty)
    #expect(run.json["fits"] as? Bool == false && run.json["problems"] as? [String] == [problem])
    let text = try Tool.run(["check", half, base])
    #expect(text.status == 65 && text.output.contains("  problem         \(problem)\n"))
  }

  // MARK: bake

  @Test(
    "bake tells output, targets, survival and residual; the file is what the report says", arguments: [false, true])
  func bake(hasUndo: Bool) throws {
    let undo = folder.file("undo")
    let run = try Tool.run(
      ["bake", "--json", base, style + "@0.8,0.5", "-o", out] + (hasUndo ? ["--undo", undo] : []))
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(run.json["schema"] as? String == "lathe.bake/1" && run.json["output"] as? String == out)
    #expect(run.json["targets_baked"] as? Int == 3 && run.json["weights_changed"] as? Int == 3)
    #expect((run.json["skipped"] as? [Any])?.isEmpty == true && run.json["dry_run"] as? Bool == false)
    let survival = run.json["survival"] as? Double ?? .nan, residual = run.json["residual"] as? Double ?? .nan
    #expect(abs(survival - 1) <= 0.01 && residual > 0 && residual <= 0.1)
    let adapter = first(run.json, "adapters") as? [String: Any]
    #expect(adapter?["strength"] as? Double == 0.8 && adapter?["text_encoder_strength"] as? Double == 0.5)
    #expect(keys(first(run.json, "blocks")) == ["name", "survival", "residual", "moved", "delta_norm"])
    let size = try Data(contentsOf: URL(filePath: out)).count
    #expect(run.json["bytes"] as? Int == size)
    #expect((first(run.json, "files") as? [String: Any])?["bytes"] as? Int == size)
    guard hasUndo else { return #expect(run.json["undo"] is NSNull) }
    let record = run.json["undo"] as? [String: Any]
    #expect(record?["path"] as? String == undo && record?["bits_per_weight"] is Double)
    #expect(record?["bytes"] as? Int == (try Data(contentsOf: URL(filePath: undo))).count)
  }

  @Test("a dry run writes nothing and tells the same", arguments: ["nearest", "stochastic", "shaped"])
  func dryRun(rounding: String) throws {
    let before = try folder.names
    let options = ["--json", base, style + "@0.01", "--rounding", rounding, "--seed", "3"]
    let dry = try Tool.run(["bake", "--dry-run"] + options)
    #expect(dry.status == 0 && dry.json["dry_run"] as? Bool == true)
    #expect(try folder.names == before)
    let real = try Tool.run(["bake", "-o", out] + options)
    for key in ["survival", "residual", "moved"] {
      let value = dry.json[key] as? Double ?? .nan
      #expect(value == real.json[key] as? Double, "\(key)")
    }
    #expect(dry.json["targets_baked"] as? Int == real.json["targets_baked"] as? Int)
  }

  @Test("a delta that does not survive is told, with what to do")
  func survivalWarning() throws {
    let run = try Tool.run(["bake", base, style + "@0.0002", "-o", out])
    #expect(run.status == 0)
    #expect(run.errors.hasPrefix("lathe: warning: only ") && run.errors.split(separator: "\n").count == 1)
    #expect(
      run.errors.hasSuffix(
        "hint: --rounding shaped keeps it in this format, --dtype f16 or f32 in a larger one\n"), "\(run.errors)")
    #expect(try Tool.run(["bake", "--quiet", base, style + "@0.0002", "-o", out, "--force"]).errors.isEmpty)
    let larger = try Tool.run(["bake", base, style + "@0.0002", "-o", out, "--force", "--dtype", "f32"])
    #expect(larger.status == 0 && larger.errors.isEmpty)
  }

  @Test("what is left out is listed, with exit code 2")
  func unmatched() throws {
    let small = folder.file("small.safetensors")
    try writeAdapter(
      to: small,
      tensors: [
        filler("model.diffusion_model.input_blocks.0.0.weight", [32, 4, 3, 3]),
        filler("model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", [32, 768]),
      ])
    let refused = try Tool.run(["bake", small, style, "-o", out])
    #expect(refused.status == 65 && refused.output.isEmpty && refused.errors.split(separator: "\n").count == 1)
    #expect(refused.errors.contains("(and 1 more); hint: --allow-unmatched bakes the rest"))
    let run = try Tool.run(["bake", "--json", small, style, "-o", out, "--allow-unmatched"])
    let skipped = run.json["skipped"] as? [String] ?? []
    #expect(run.status == 2 && skipped.count == 2 && run.json["targets_baked"] as? Int == 1)
    #expect(
      skipped.allSatisfy { $0.hasPrefix("\(style): ") && $0.hasSuffix(": the checkpoint has no weight of this name") })
    let dry = try Tool.run(["bake", small, style, "--dry-run", "--allow-unmatched"])
    #expect(dry.status == 2 && dry.output.contains("not baked:"))
  }

  @Test("options and a recipe file give the same bytes")
  func recipe() throws {
    let text = "adapters:\n  - file: style.safetensors\n    strength: 0.7\n    blocks: {IN01: 0.5}\nrounding: shaped\n"
    try folder.write(Array(text.utf8), to: "bake.yaml")
    let other = folder.file("other.safetensors")
    #expect(try Tool.run(["bake", base, "--recipe", folder.file("bake.yaml"), "-o", out]).status == 0)
    #expect(
      try Tool.run([
        "bake", base, style + "@0.7", "--block-weights", style + "=IN01:0.5", "--rounding", "shaped", "-o", other,
      ]).status == 0)
    #expect(try hash(out) == hash(other))
    let wrong = try Tool.run([
      "bake", base, "--recipe", folder.file("bake.yaml"), "--block-weights", "x=IN01:0.5", "-o", out, "--force",
    ])
    #expect(wrong.status == 64 && wrong.errors.contains("--block-weights: expected one of the adapters, found x"))
  }

  // MARK: unbake

  @Test("unbake gives the base back and says by which hash")
  func unbake() throws {
    let undo = folder.file("undo"), back = folder.file("back.safetensors")
    #expect(try Tool.run(["bake", base, style, "-o", out, "--undo", undo, "--rounding", "stochastic"]).status == 0)
    let before = try folder.names
    let dry = try Tool.run(["unbake", "--json", out, "--undo", undo, "--dry-run"])
    #expect(try dry.status == 0 && folder.names == before)
    let run = try Tool.run(["unbake", "--json", out, "--undo", undo, "-o", back])
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(run.json["schema"] as? String == "lathe.unbake/1" && run.json["output"] as? String == back)
    #expect(run.json["bytes"] as? Int == (try Data(contentsOf: URL(filePath: base))).count)
    #expect(dry.json["bytes"] as? Int == run.json["bytes"] as? Int)
    let file = first(run.json, "files") as? [String: Any]
    #expect(file?["content_sha256"] as? String == ContentHash.sha256(try SafetensorsFile(path: base).data))
    #expect(try hash(back) == hash(base))
    let again = try Tool.run(["unbake", out, "--undo", undo, "-o", back])
    #expect(
      again.status == 73 && again.errors == "lathe: error: \(back): exists already; hint: --force overwrites it\n")
    #expect(try Tool.run(["unbake", out, "--undo", undo, "-o", back, "--force"]).status == 0)
    let wrong = try Tool.run(["unbake", base, "--undo", undo, "-o", folder.file("no")])
    #expect(wrong.status == 65 && wrong.output.isEmpty && wrong.errors.split(separator: "\n").count == 1)
    let other = try Tool.run(["unbake", out, "--undo", style, "-o", folder.file("no")])
    #expect(other.status == 65)
    #expect(
      other.errors == "lathe: error: \(style): expected an undo file of lathe bake, found another safetensors file\n")
    #expect(try !folder.names.contains("no"))
  }

  // MARK: Outputs

  @Test("an output that exists stays unless --force is given")
  func existing() throws {
    try folder.write([1, 2, 3], to: "out.safetensors")
    let run = try Tool.run(["bake", base, style, "-o", out])
    #expect(run.status == 73 && run.errors == "lathe: error: \(out): exists already; hint: --force overwrites it\n")
    #expect(try folder.bytes(of: "out.safetensors") == [1, 2, 3])
    #expect(try Tool.run(["bake", base, style, "-o", out, "--force"]).status == 0)
    #expect(try SafetensorsFile(path: out).entries.count == 4)
    try folder.write([1, 2, 3], to: "undo")
    let undo = try Tool.run(["bake", base, style, "-o", folder.file("o2"), "--undo", folder.file("undo")])
    #expect(undo.status == 73 && undo.errors.contains("undo: exists already"))
    #expect(try folder.bytes(of: "undo") == [1, 2, 3])
    let own = try Tool.run(["bake", base, style, "-o", base, "--force"])
    #expect(own.status == 73 && own.errors.contains("is the base itself"))
  }

  @Test("a folder is never replaced")
  func existingFolder() throws {
    let model = folder.file("model"), other = folder.file("other")
    for path in [model, other] {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }
    try FileManager.default.copyItem(atPath: base, toPath: model + "/diffusion_pytorch_model.safetensors")
    for options in [[], ["--force"]] {
      let run = try Tool.run(["bake", model, style, "-o", other] + options)
      #expect(run.status == 73)
      #expect(
        run.errors == "lathe: error: \(other): exists already; hint: a folder is never replaced, give a new name\n")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: other).isEmpty)
    #expect(try Tool.run(["bake", model, style, "-o", folder.file("new/")]).status == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("new")).count == 1)
  }
}
