import Adapters
import Loaders
import Models
import Tensors
import TestSupport
import Testing

@testable import Converting
@testable import Factoring

/// Proves that kohya's goldens keep their deltas, which other libraries have computed, in every dialect and back.
@Suite struct ConvertDialectTests {
  static let kohya = DialectGolden.all.filter {
    $0.format == "kohya" && $0.unsupported.isEmpty && !$0.targets.isEmpty
  }
  static let dotted = DialectGolden.all.filter {
    ["diffusers", "native", "xlabs"].contains($0.format) && $0.unsupported.isEmpty && !$0.targets.isEmpty
  }

  @Test("There are eight of them")
  func count() { #expect(Self.kohya.count == 8) }

  /// A path for an output in the dialect.
  private func file(_ name: String, _ format: AdapterFormat?, _ folder: TemporaryFolder) -> String {
    folder.file(format == .peft ? name : name + ".safetensors")
  }

  /// Expects the golden's deltas under the names of `source`, as exact as the result says.
  private func expectDeltas(_ run: Converting, of golden: DialectGolden, from source: Adapter, error: Double) throws {
    let found = Dictionary(uniqueKeysWithValues: run.targets.map { ($0.key.path, $0) })
    #expect(run.targets.count == golden.targets.count)
    for target in source.targets {
      let expected = try #require(golden.targets[target.name])
      let own = try #require(found[target.key.path] ?? found["text_model_" + target.key.path], "\(target.name)")
      #expect(relativeDifference(own.dense, expected.delta) <= max(1.01 * error, 1e-14), "\(target.name)")
    }
  }

  @Test("To another dialect and back", arguments: kohya, [AdapterFormat.diffusers, .peft])
  func roundTrip(golden: DialectGolden, format: AdapterFormat) throws {
    let folder = try TemporaryFolder(), source = try Adapter(path: golden.path)
    let there = try Converting(ConvertRecipe(golden.path, format), to: file("there", format, folder))
    #expect(there.outputs.allSatisfy { $0.format == format && $0.problems.filter(\.isFatal).isEmpty })
    let back = try Converting(ConvertRecipe(file("there", format, folder), .kohya), to: folder.file("back.safetensors"))
    let error = there.result.entries.reduce(0) { max($0, $1.relativeError!) }
    try expectDeltas(there, of: golden, from: source, error: error)
    try expectDeltas(back, of: golden, from: source, error: error)
    #expect(back.result.entries.allSatisfy { $0.relativeError == 0 })
    #expect(Set(back.targets.map(\.name)) == Set(source.targets.map(\.name)))
    let isTucker = golden.file.contains("tucker")
    if format == .peft, !isTucker {
      // An alpha can be said there, so not a bit of a factor changes.
      #expect(error == 0)
      for target in back.targets {
        let old = try #require(source.targets.first { $0.name == target.name })
        #expect(target.up.dtype == old.up.dtype && target.down.dtype == old.down.dtype)
        #expect(target.up.doubles() == old.up.doubles() && target.down.doubles() == old.down.doubles())
        #expect(target.scale == old.scale)
      }
    }
    for target in there.targets where format == .diffusers { #expect(target.scale == 1) }
  }

  @Test("From other dialects to kohya's and diffusers'", arguments: dotted, [AdapterFormat.kohya, .diffusers, .peft])
  func others(golden: DialectGolden, format: AdapterFormat) throws {
    let folder = try TemporaryFolder(), source = try Adapter(path: golden.path)
    let run = try Converting(ConvertRecipe(golden.path, format), to: file("out", format, folder))
    // Where α/r is √r it cannot be said in single precision.
    #expect(run.result.entries.allSatisfy { $0.relativeError! < 6e-8 })
    guard golden.format != "xlabs" else { return }
    let all = run.targets.reduce(0) { $0 + inner($1.dense, $1.dense) }
    let expected = source.targets.reduce(0) { $0 + inner($1.dense, $1.dense) }
    #expect(abs(all / expected - 1) < 1e-6)
  }

  @Test("Normalised, all loaders that read the file read the same", arguments: kohya)
  func normalised(golden: DialectGolden) throws {
    let folder = try TemporaryFolder(), source = try Adapter(path: golden.path)
    let run = try Converting(ConvertRecipe(golden.path, nil, normalises: true), to: folder.file("even.safetensors"))
    try expectDeltas(run, of: golden, from: source, error: run.result.entries.reduce(0) { max($0, $1.relativeError!) })
    #expect(Set(run.targets.map(\.alpha)).count == 1)
    #expect(run.targets.allSatisfy { $0.alpha != 0 && $0.alpha != nil })
    // Diffusers knows no Tucker core.
    guard !golden.file.contains("tucker") else { return }
    // Diffusers passes over attention of a text encoder without out_proj.
    #expect(LoaderScales(of: run.output).disagreements.allSatisfy { Set($0.scales.values).count == 1 })
  }

  @Test("The same bytes with any number of threads")
  func threads() throws {
    let folder = try TemporaryFolder(), golden = Self.kohya[0]
    for threads in [1, 3] {
      _ = try Converting(
        ConvertRecipe(golden.path, .diffusers), to: folder.file("\(threads).safetensors"), threads: threads)
    }
    #expect(try folder.bytes(of: "1.safetensors") == folder.bytes(of: "3.safetensors"))
  }

  @Test("Folders that tell no family each do so together: kohya's names of SDXL, and a word about PEFT's text encoder")
  func folders() throws {
    let folder = try TemporaryFolder()
    let names = [
      "lora_unet_input_blocks_4_1_proj_in", "lora_te1_text_model_encoder_layers_0_mlp_fc1",
      "lora_te2_text_model_encoder_layers_0_mlp_fc1",
    ]
    var pico = Pico(seed: 5)
    for name in names { pico.add(name, rows: 6, inputs: 5, rank: 2, alpha: 2) }
    let source = try pico.write(to: folder.file("a.safetensors"))
    let there = try Converting(ConvertRecipe(source.path, .peft), to: folder.file("there"))
    #expect(
      there.outputs.count == 3 && there.plan.notes.contains { $0.text.contains("text encoder 1: with transformers") })
    let back = try Converting(ConvertRecipe(folder.file("there"), .kohya), to: folder.file("back.safetensors"))
    #expect(Set(back.targets.map(\.name)) == Set(names) && back.plan.family == .sdxl)
    #expect(!back.plan.notes.contains { $0.text.contains("transformers") })
  }

  @Test("Loaders that read a file with mixed alphas otherwise are a warning about that file")
  func mixedAlphas() throws {
    let folder = try TemporaryFolder()
    var pico = Pico(seed: 6)
    for (place, alpha) in [("in", 1.0), ("out", 2)] {
      pico.add("lora_unet_mid_block_attentions_0_proj_" + place, rows: 6, inputs: 5, rank: 2, alpha: alpha)
    }
    let source = try pico.write(to: folder.file("a.safetensors"))
    let plan = try ConvertPlan(ConvertRecipe(source.path, .kohya))
    #expect(
      plan.notes.map(\.text) == [
        "\(source.path): the targets have 2 different alphas, which diffusers misreads"
      ])
    #expect(try ConvertPlan(ConvertRecipe(source.path, .kohya, normalises: true)).notes.isEmpty)
  }
}
