import Foundation
import Tensors
import TestSupport
import Testing

/// `lathe extract` as scripts see it: JSON fields, exit codes, files.
@Suite struct ExtractTests {
  private let folder: TemporaryFolder
  private let base: String
  private let tuned: String
  private let output: String

  /// A UNet in LDM's names with a matrix, a convolution and a bias.
  private static func checkpoint(
    _ name: String, changed: Bool, extra: [NamedValues] = [], in folder: TemporaryFolder
  ) throws -> String {
    var noise = SplitMix64(seed: 5), change = SplitMix64(seed: 7)
    let block = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0."
    let shapes = [
      (block + "attn2.to_k.weight", [40, 768]),
      ("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", [24, 16, 3, 3]),
      (block + "attn2.to_out.0.bias", [40]),
      ("model.diffusion_model.input_blocks.0.0.weight", [8, 4, 3, 3]),
    ]
    let tensors = shapes.map { name, shape -> NamedValues in
      let columns = shape.dropFirst().reduce(1, *)
      let (x, y) = (change.gaussians(shape[0]), change.gaussians(columns))
      let values = noise.gaussians(shape[0] * columns).enumerated().map { place, value in
        0.05 * value + (changed && shape[0] != 8 ? 0.02 * x[place / columns] * y[place % columns] : 0)
      }
      return (name, shape, .f32, values)
    }
    try writeAdapter(to: folder.file(name), tensors: tensors + extra)
    return folder.file(name)
  }

  init() throws {
    folder = try TemporaryFolder()
    base = try Self.checkpoint("base.safetensors", changed: false, in: folder)
    tuned = try Self.checkpoint("tuned.safetensors", changed: true, in: folder)
    output = folder.file("style.safetensors")
  }

  @Test("the fields of the JSON report")
  func json() throws {
    let run = try Tool.run(["extract", base, tuned, "-o", output, "--rank", "1", "--json"])
    #expect(run.status == 0)
    #expect(run.errors == "")
    #expect(run.json["schema"] as? String == "lathe.extract/1")
    #expect(run.json["output"] as? String == output)
    #expect(run.json["bytes"] as? Int == (try folder.bytes(of: "style.safetensors").count))
    let error = try #require(run.json["relative_error"] as? Double),
      energy = try #require(run.json["energy"] as? Double)
    #expect(error > 0 && error < 1e-3)
    #expect(abs(energy - (1 - error * error)) <= 1e-12)
    let targets = try #require(run.json["targets"] as? [[String: Any]])
    #expect(targets.count == 2)
    for target in targets {
      #expect(Set(target.keys) == ["name", "rank_before", "rank_after", "relative_error"])
      #expect(target["rank_after"] as? Int == 1)
      #expect((target["rank_before"] as? Int).map { $0 == 40 || $0 == 24 } == true)
    }
    let inspect = try Tool.run(["inspect", output, "--json"])
    #expect(inspect.json["format"] as? String == "kohya")
    #expect(inspect.json["family"] as? String == "SD1.x")
  }

  @Test("a dry run says the size and writes nothing")
  func dryRun() throws {
    let run = try Tool.run(["extract", base, tuned, "--rank", "1", "--dry-run", "--json"])
    #expect(run.status == 0)
    #expect(run.json["dry_run"] as? Bool == true)
    #expect((run.json["peak_memory"] as? Int ?? 0) > 0)
    #expect(try folder.names == ["base.safetensors", "tuned.safetensors"])
    let real = try Tool.run(["extract", base, tuned, "-o", output, "--rank", "1", "--json"])
    #expect(real.json["bytes"] as? Int == run.json["bytes"] as? Int)
  }

  @Test("the report for people names size, error and what was left out")
  func text() throws {
    let run = try Tool.run(["extract", base, tuned, "-o", output, "--auto", "--targets"])
    #expect(run.status == 0)
    for words in [
      "SD1.x, kohya names", "measured on what was written", "counts as error here", "kept in full    1", "full rank",
    ] {
      #expect(run.output.contains(words), "\(words)")
    }
  }

  @Test(
    "wrong use is 64",
    arguments: [
      [], ["--rank", "4", "--auto"], ["--rank", "0"], ["--energy", "1.5"], ["--conv-rank", "4"],
      ["--max-rank", "0", "--auto"],
      ["--size", "many"],
    ])
  func usage(_ options: [String]) throws {
    let run = try Tool.run(["extract", base, tuned, "-o", output] + options)
    #expect(run.status == 64, "\(options)")
    #expect(try folder.names == ["base.safetensors", "tuned.safetensors"])
  }

  @Test("exit codes of bad and missing input")
  func codes() throws {
    let missing = try Tool.run(["extract", folder.file("nothing.safetensors"), tuned, "-o", output, "--auto"])
    #expect(missing.status == 66)
    let equal = try Tool.run(["extract", base, base, "-o", output, "--auto"])
    #expect(equal.status == 65)
    #expect(equal.errors.contains("no difference beyond rounding"))
    let small = try Tool.run(["extract", base, tuned, "-o", output, "--size", "500"])
    #expect(small.status == 64)
    try folder.write([1], to: "style.safetensors")
    let exists = try Tool.run(["extract", base, tuned, "-o", output, "--auto"])
    #expect(exists.status == 73)
    let forced = try Tool.run(["extract", base, tuned, "-o", output, "--auto", "--force"])
    #expect(forced.status == 0)
    for run in [missing, equal, small, exists] {
      #expect(run.output == "")
      #expect(run.errors.hasPrefix("lathe: error: "))
      #expect(run.errors.split(separator: "\n").count == 1)
    }
  }

  @Test("a weight without a partner: an error, or skipped with exit code 2")
  func unmatched() throws {
    let other = try Self.checkpoint(
      "more.safetensors", changed: true,
      extra: [
        filler("model.diffusion_model.input_blocks.2.0.in_layers.2.weight", [4, 4, 3, 3]),
        filler("model_ema.decay", [1]),
        ("cond_stage_model.transformer.text_model.embeddings.position_ids", [1, 3], .i64, [0, 1, 2]),
      ], in: folder)
    let refused = try Tool.run(["extract", base, other, "-o", output, "--rank", "1"])
    #expect(refused.status == 65)
    let run = try Tool.run(["extract", base, other, "-o", output, "--rank", "1", "--json", "--allow-unmatched"])
    #expect(run.status == 2)
    let skipped = try #require(run.json["skipped"] as? [String])
    #expect(skipped == ["denoiser.down_blocks.0.resnets.1.conv1.weight: only in \(other)"])
    #expect(run.errors.contains("warning: skipped: denoiser.down_blocks.0.resnets.1.conv1.weight"))
  }

  @Test("a language model becomes a PEFT folder")
  func languageModel() throws {
    for (name, seed) in [("lm", UInt64(1)), ("lm-tuned", 2)] {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
      try Data(#"{"model_type":"gpt2"}"#.utf8).write(to: URL(filePath: folder.file(name) + "/config.json"))
      try writeAdapter(
        to: folder.file(name) + "/model.safetensors",
        tensors: [filler("transformer.h.0.attn.c_attn.weight", [12, 36], seed: seed)])
    }
    let out = folder.file("adapter")
    let run = try Tool.run(["extract", folder.file("lm"), folder.file("lm-tuned"), "-o", out, "--rank", "12", "--json"])
    #expect(run.status == 0, "\(run.errors)")
    let config = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: out + "/adapter_config.json")))
    let fields = try #require(config as? [String: Any])
    #expect(fields["fan_in_fan_out"] as? Bool == true)
    #expect(fields["r"] as? Int == 12)
    #expect(fields["target_modules"] as? [String] == ["transformer.h.0.attn.c_attn"])
    #expect(try #require(run.json["relative_error"] as? Double) <= 1e-3)
  }
}
