import Adapters
import Checkpoints
import Foundation
import Safetensors
import Spectra
import Tensors
import TestSupport
import Testing

@testable import Extracting
@testable import Factoring

/// Adapters made of two checkpoints whose difference is known.
@Suite struct ExtractTests {
  static let formats: [DType] = [.f32, .f16, .bf16]

  private static func factored(_ fixture: ExtractFixture) -> [String] {
    fixture.weights.filter { $0.shape.count > 1 && $0.base != $0.tuned }.map(\.name)
  }

  @Test("a change of low rank comes back whole", arguments: formats)
  func lowRank(_ dtype: DType) throws {
    let seed: UInt64 = 41, folder = try TemporaryFolder()
    let fixture = ExtractFixture.unet(seed: seed, rank: 3)
    let (base, tuned) = try fixture.folders(dtype, in: folder)
    let result = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: .ranks(.rank(3, conv: nil)), dtype: .f32),
      to: folder.file("out.safetensors"))
    // Single precision loses 2⁻²⁴ of weights a hundred times as large as their change; the others their own digits.
    let floor = dtype == .f32 ? 2e-6 : dtype == .f16 ? 3e-3 : 2.5e-2
    #expect(result.relativeError <= floor, "seed \(seed)")
    let file = try SafetensorsFile(path: folder.file("out.safetensors"))
    for name in Self.factored(fixture) {
      let weight = fixture.weights.first { $0.name == name }!
      let change = try #require(ExtractFixture.change(ExtractFixture.module(name), in: file))
      let exact = zip(weight.tuned, weight.base).map { $0 - $1 }
      #expect(relativeDifference(change, exact) <= 2 * floor, "\(name), seed \(seed)")
    }
    #expect(result.entries.allSatisfy { $0.rankAfter == 3 })
    #expect(result.equalCount == 2)
  }

  @Test("the error in the report is that of the file, and the tail of the spectrum")
  func measured() throws {
    let seed: UInt64 = 43, folder = try TemporaryFolder()
    let fixture = ExtractFixture.unet(seed: seed, rank: 6)
    let (base, tuned) = try fixture.folders(.f32, in: folder)
    let output = folder.file("out.safetensors")
    let recipe = ExtractRecipe(base: base, tuned: tuned, rule: .ranks(.rank(2, conv: 4)), dtype: .f32)
    let result = try ExtractFixture.extract(recipe, to: output)
    let file = try SafetensorsFile(path: output)
    var lost = 0.0, whole = 0.0
    for name in Self.factored(fixture) {
      let shape = fixture.weights.first { $0.name == name }!.shape, module = ExtractFixture.module(name)
      let difference = fixture.difference(name, .f32)
      let change = try #require(ExtractFixture.change(module, in: file))
      let entry = try #require(result.entries.first { $0.name == module })
      let error = Dense.norm(zip(difference, change).map { $0 - $1 }), norm = Dense.norm(difference)
      #expect(abs(entry.error - error) <= 1e-6 * norm, "\(name), seed \(seed)")
      let rank = shape.count == 4 && shape[2] == 3 ? 4 : 2
      #expect(entry.rankAfter == rank)
      #expect(entry.rankBefore == min(shape[0], shape.dropFirst().reduce(1, *)))
      let values = Dense.singularValues(difference, rows: shape[0], columns: shape.dropFirst().reduce(1, *))
      let tail = Dense.norm(Array(values.dropFirst(rank)))
      #expect(abs(entry.error - tail) <= 1e-5 * norm, "\(name), seed \(seed)")
      lost += error * error
      whole += norm * norm
    }
    for entry in result.full { whole += entry.norm * entry.norm }
    #expect(abs(result.relativeError - (lost / whole).squareRoot()) <= 1e-6)
    #expect(abs(result.energy - (1 - result.relativeError * result.relativeError)) <= 1e-12)
    let bytes = try folder.bytes(of: "out.safetensors").count
    #expect(result.bytes == bytes)
    let decomposition = try ExtractDecomposition(try ExtractPlan(recipe), output: nil, threads: 1)
    let prediction = decomposition.prediction(try decomposition.allocation(), output: "")
    #expect(prediction.bytes == bytes)
    #expect(abs(prediction.relativeError - result.relativeError) <= 1e-5)
  }

  @Test("biases and norms are kept as they are; what is equal is left out")
  func full() throws {
    let folder = try TemporaryFolder(), fixture = ExtractFixture.unet(seed: 47, rank: 2)
    let (base, tuned) = try fixture.folders(.f32, in: folder)
    let output = folder.file("out.safetensors")
    let result = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: .ranks(.rank(2, conv: nil))), to: output)
    let file = try SafetensorsFile(path: output)
    for (name, suffix) in [("norm1.weight", "diff"), ("ff.net.0.proj.bias", "diff_b")] {
      let tensor = try #require(file[ExtractFixture.module(ExtractFixture.block + name) + "." + suffix])
      #expect(relativeDifference(tensor.doubles(), fixture.difference(ExtractFixture.block + name, .f32)) <= 5e-4)
    }
    #expect(result.full.count == 2)
    #expect(!file.entries.contains { $0.name.contains("attn1_to_v") })
  }

  @Test("a folder and a file of other names make the same adapter")
  func dialects() throws {
    let folder = try TemporaryFolder(), fixture = ExtractFixture.unet(seed: 53, rank: 2)
    let (base, tuned) = try fixture.folders(.f16, in: folder)
    let file = try fixture.file("tuned.safetensors", tuned: true, .f16, in: folder)
    let rule = ExtractRecipe.Rule.ranks(.rank(2, conv: nil))
    _ = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: rule), to: folder.file("a.safetensors"))
    _ = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: file, rule: rule), to: folder.file("b.safetensors"), threads: 1)
    let (a, b) = (
      try SafetensorsFile(path: folder.file("a.safetensors")), try SafetensorsFile(path: folder.file("b.safetensors"))
    )
    #expect(a.entries.map(\.name) == b.entries.map(\.name))
    for entry in a.entries { #expect(a.tensor(entry).doubles() == b[entry.name]?.doubles(), "\(entry.name)") }
  }

  @Test("--auto finds about the true rank below the noise of the format", arguments: [false, true])
  func auto(_ roundsBaseFirst: Bool) throws {
    // 48 directions down to the noise; the tuned model starts from the base as stored, or from one with more digits.
    let seed: UInt64 = 59, folder = try TemporaryFolder(), (rows, columns, rank) = (320, 160, 12)
    var fixture = ExtractFixture(seed: seed)
    fixture.add(ExtractFixture.block + "attn2.to_k.weight", [rows, columns], rank: rank, size: 2e-3)
    if roundsBaseFirst {
      let weight = fixture.weights[0], shape = Shape(weight.shape)
      let stored = Tensor(weight.base, shape: shape, dtype: .bf16).doubles()
      fixture.weights[0].tuned = zip(weight.tuned, zip(weight.base, stored)).map { $0 - $1.0 + $1.1 }
    }
    let (base, tuned) = try fixture.folders(.bf16, in: folder)
    let exact = zip(fixture.weights[0].tuned, fixture.weights[0].base).map { $0 - $1 }
    func run(_ rule: ExtractRecipe.Rule, _ name: String) throws -> (rank: Int, error: Double) {
      let result = try ExtractFixture.extract(
        ExtractRecipe(base: base, tuned: tuned, rule: rule, dtype: .f32), to: folder.file(name))
      let file = try SafetensorsFile(path: folder.file(name))
      let change = try #require(ExtractFixture.change(ExtractFixture.module(fixture.weights[0].name), in: file))
      return (result.entries[0].rankAfter, relativeDifference(change, exact))
    }
    let auto = try run(.auto, "auto.safetensors")
    #expect(auto.rank >= rank - 3 && auto.rank <= rank + 1, "seed \(seed)")
    for other in [4, 32, 64] {
      let fixed = try run(.ranks(.rank(other, conv: nil)), "\(other).safetensors")
      #expect(auto.error <= fixed.error, "rank \(other), seed \(seed)")
    }
  }

  @Test("rounding alone is no change")
  func rounding() throws {
    let folder = try TemporaryFolder(), fixture = ExtractFixture.unet(seed: 61, rank: 0)
    let base = try fixture.folder("base", tuned: false, .f32, in: folder)
    let tuned = try fixture.folder("tuned", tuned: false, .bf16, in: folder)
    let plan = try ExtractPlan(ExtractRecipe(base: base, tuned: tuned, rule: .auto))
    #expect(throws: ExtractingError.self) {
      do { _ = try ExtractDecomposition(plan, output: nil, threads: 1) } catch {
        // The vectors of the fixture do change.
        #expect("\(error)".contains("beyond rounding"))
        throw error
      }
    }
  }

  @Test("--energy, --max-error and --size keep what they promise")
  func rules() throws {
    let folder = try TemporaryFolder(), fixture = ExtractFixture.unet(seed: 67, rank: 8)
    let (base, tuned) = try fixture.folders(.f32, in: folder)
    func run(_ rule: RankRule, maxRank: Int = 256) throws -> ExtractResult {
      try ExtractFixture.extract(
        ExtractRecipe(base: base, tuned: tuned, rule: .ranks(rule), maxRank: maxRank),
        to: folder.file("out.safetensors"), overwriting: true)
    }
    let energy = try run(.energy(0.9))
    for entry in energy.entries { #expect(entry.relativeError <= (1 - 0.9).squareRoot() + 1e-3) }
    #expect(energy.entries.contains { $0.rankAfter > 1 && $0.rankAfter < 8 })
    let error = try run(.maxError(0.2))
    #expect(error.relativeError <= 0.2)
    #expect(error.relativeError >= 0.1)
    let size = try run(.size(ByteCount(energy.bytes)))
    #expect(size.bytes <= energy.bytes)
    #expect(size.relativeError <= energy.relativeError * 1.001)
    let capped = try run(.energy(0.99), maxRank: 2)
    #expect(capped.cappedCount == capped.entries.count)
    #expect(capped.entries.allSatisfy { $0.rankAfter == 2 })
    #expect(throws: ExtractingError.self) { try run(.maxError(0.01), maxRank: 1) }
    #expect(throws: FactoringError.self) { try run(.size(ByteCount(1000))) }
  }

  @Test("the same bytes from any number of threads")
  func threads() throws {
    let folder = try TemporaryFolder(), fixture = ExtractFixture.unet(seed: 71, rank: 4)
    let (base, tuned) = try fixture.folders(.bf16, in: folder)
    for (name, threads) in [("one.safetensors", 1), ("five.safetensors", 5)] {
      _ = try ExtractFixture.extract(
        ExtractRecipe(base: base, tuned: tuned, rule: .auto), to: folder.file(name), threads: threads)
    }
    #expect(try folder.bytes(of: "one.safetensors") == folder.bytes(of: "five.safetensors"))
    #expect(try folder.names.filter { $0.contains("partial") || $0.contains("factors") } == [])
  }

  @Test("tiny changes are lifted into half precision's range")
  func tiny() throws {
    let folder = try TemporaryFolder()
    var fixture = ExtractFixture(seed: 73)
    fixture.add(ExtractFixture.block + "attn2.to_k.weight", [64, 768], rank: 2, size: 1e-9)
    fixture.weights[0].base = fixture.weights[0].base.map { _ in 0 }
    var noise = SplitMix64(seed: 79)
    let (x, y) = (noise.gaussians(64), noise.gaussians(768))
    fixture.weights[0].tuned = (0..<64 * 768).map { 1e-11 * x[$0 / 768] * y[$0 % 768] }
    let (base, tuned) = try fixture.folders(.f32, in: folder)
    let result = try ExtractFixture.extract(
      ExtractRecipe(base: base, tuned: tuned, rule: .ranks(.rank(1, conv: nil))), to: folder.file("out.safetensors"))
    #expect(result.relativeError <= 5e-4)
  }

  @Test("a fused projection is one target under its authors' names, and three under diffusers'")
  func fused() throws {
    let folder = try TemporaryFolder(), side = 16
    var noise = SplitMix64(seed: 97)
    let base = noise.gaussians(3 * side * side), change = (noise.gaussians(3 * side), noise.gaussians(side))
    let tuned = base.enumerated().map { $1 + 0.1 * change.0[$0 / side] * change.1[$0 % side] }
    func original(_ name: String, _ values: [Double]) throws -> String {
      let scale: NamedValues = ("double_blocks.0.img_attn.norm.key_norm.scale", [4], .f32, [1, 1, 1, 1])
      try writeAdapter(
        to: folder.file(name),
        tensors: [("double_blocks.0.img_attn.qkv.weight", [3 * side, side], .f32, values), scale])
      return folder.file(name)
    }
    let parts = ["to_q", "to_k", "to_v"].enumerated().map { index, name -> NamedValues in
      (
        "transformer_blocks.0.attn.\(name).weight", [side, side], .f32,
        Array(tuned[index * side * side..<(index + 1) * side * side])
      )
    }
    let config = folder.file("tuned-folder/transformer")
    try FileManager.default.createDirectory(atPath: config, withIntermediateDirectories: true)
    try Data(#"{"_class_name":"FluxTransformer2DModel"}"#.utf8).write(to: URL(filePath: config + "/config.json"))
    try writeAdapter(
      to: config + "/diffusion_pytorch_model.safetensors",
      tensors: parts + [("transformer_blocks.0.attn.norm_k.weight", [4], .f32, [1, 1, 1, 1])])

    let one = try original("base.safetensors", base)
    for (index, two) in [try original("tuned.safetensors", tuned), folder.file("tuned-folder")].enumerated() {
      for (format, count) in [(AdapterFormat.kohya, 1), (.diffusers, 3)] {
        let output = folder.file("\(index)-\(format.rawValue).safetensors")
        let result = try ExtractFixture.extract(
          ExtractRecipe(base: one, tuned: two, rule: .ranks(.rank(1, conv: nil)), dtype: .f32, format: format),
          to: output)
        #expect(result.entries.count == count)
        #expect(result.relativeError <= 1e-5)
        #expect(result.skipped == [])
        let names = result.entries.map(\.name)
        #expect(
          names.contains(
            count == 1 ? "lora_unet_double_blocks_0_img_attn_qkv" : "transformer.transformer_blocks.0.attn.to_k"))
      }
    }
  }

  @Test("checkpoints in memory give the adapter that their files give, to the byte")
  func inMemory() throws {
    let folder = try TemporaryFolder(), fixture = ExtractFixture.unet(seed: 97, rank: 2)
    let rule = ExtractRecipe.Rule.ranks(.rank(2, conv: nil))
    let paths = [
      try fixture.file("base.safetensors", tuned: false, .f16, in: folder),
      try fixture.file("tuned.safetensors", tuned: true, .f16, in: folder),
    ]
    let files = try ExtractFixture.extract(
      ExtractRecipe(base: paths[0], tuned: paths[1], rule: rule), to: folder.file("a.safetensors"))
    let checkpoints = try paths.map { path in
      let file = try SafetensorsFile(path: path)
      let tensors = file.entries.reversed().map { entry in
        (entry.name, Tensor(file.tensor(entry).doubles(), shape: entry.shape, dtype: entry.dtype))
      }
      return try Checkpoint(tensors: tensors, title: String(path.split(separator: "/").last!))
    }
    let plan = try ExtractPlan(
      ExtractRecipe(base: checkpoints[0], tuned: checkpoints[1], rule: rule), base: checkpoints[0],
      tuned: checkpoints[1])
    let output = folder.file("b.safetensors"),
      decomposition = try ExtractDecomposition(plan, output: output, threads: 2)
    let result = try decomposition.write(try decomposition.allocation(), to: output, overwriting: false, threads: 2)
    #expect(result.relativeError == files.relativeError && result.entries.count == files.entries.count)
    #expect(try folder.bytes(of: "b.safetensors") == folder.bytes(of: "a.safetensors"))
  }
}
