import Adapters
import Checkpoints
import Factoring
import Files
import Foundation
import GGUF
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Bakes into files that other libraries quantised: codes move on their own grids, and nothing else changes.
@Suite struct RecodedBakeTests {
  private let bench: Bench

  init() throws { bench = try Bench() }

  static let files = [
    "comfy_fp8_markers.safetensors", "comfy_fp8_header.safetensors", "comfy_int8.safetensors",
    "comfy_nvfp4.safetensors",
    "comfy_mxfp8.safetensors", "comfy_4bit.safetensors", "musubi_fp8_block.safetensors",
    "deepseek_fp8_block.safetensors",
    "bnb.safetensors", "gguf_write.gguf",
  ]

  /// A golden file in the bench's folder, and an adapter for all its weights whose codes can move.
  private func prepare(_ name: String, share: Double) throws -> (base: Checkpoint, adapter: String) {
    let golden = Goldens.path("quantised/\(name)")
    if name.hasSuffix(".gguf") {
      try renameTensors(golden, to: name)
    } else {
      try FileManager.default.copyItem(atPath: golden, toPath: bench.path(name))
    }
    let base = try Checkpoint(path: bench.path(name))
    var changes: [Change] = []
    for (number, weight) in base.weights.enumerated() {
      guard let codec = weight.quantisation?.codec, codec.grid != nil, weight.entry.shape.rank == 2 else { continue }
      let (rows, columns) = weight.entry.shape.flattened
      let ends = (up: ".lora_B.weight", down: ".lora_A.weight")
      let module = "diffusion_model." + weight.entry.name.dropping(suffix: ".weight"), seed = UInt64(number + 1)
      let unit = Change(module, rows, columns, rank: 4, seed: seed, ends: ends)
      func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
      let size = share * norm(base.decodedTensor(weight).doubles()) / norm(unit.delta)
      changes.append(Change(module, rows, columns, rank: 4, size: size, seed: seed, ends: ends))
    }
    #expect(!changes.isEmpty)
    return (base, try bench.adapter(changes))
  }

  /// Gives tensors names of weights, and pads the end as other programs do.
  private func renameTensors(_ golden: String, to name: String) throws {
    let file = try GGUFFile(MappedFile(path: golden))
    let items = file.entries.map {
      GGUFLayout.Item(name: $0.name + ".weight", format: $0.format, shape: $0.storedShape)
    }
    let layout = GGUFLayout(items, like: file, keeping: { _ in true }, texts: [])
    let writer = try GGUFWriter(layout: layout, destination: bench.path(name), overwriting: true)
    for entry in file.entries {
      try file.storedBytes(entry).withUnsafeBytes { try writer.write($0, of: entry.name + ".weight", at: 0) }
    }
    try writer.seal(texts: [])
    try writer.commit()
    let bytes = try bench.folder.bytes(of: name)
    try bench.folder.write(bytes + [UInt8](repeating: 0, count: 32 + (32 - bytes.count % 32) % 32), to: name)
  }

  private func bake(
    _ base: Checkpoint, _ adapter: String, _ rounding: Rounding?, to output: String, undo: String? = "undo"
  )
    throws -> BakeResult
  {
    var recipe = BakeRecipe(base: base.path, inputs: [.init(path: adapter)], rounding: rounding, seed: 3)
    if base.path.hasSuffix(".gguf") { recipe.container = .gguf }
    return try BakePlan(recipe).write(
      to: bench.path(output), undo: undo.map(bench.path), overwriting: true, threads: 2)
  }

  private func hash(_ name: String) throws -> String {
    ContentHash.sha256(Bytes(copying: try bench.folder.bytes(of: name)))
  }

  @Test("deltas arrive, only codes change, and the bake is taken back", arguments: files)
  func keep(file: String) throws {
    let (base, adapter) = try prepare(file, share: 0.02)
    let output = "out" + (file.hasSuffix(".gguf") ? ".gguf" : ".safetensors")
    for rounding in [nil] + Rounding.allCases.map(Optional.some) {
      let result = try bake(base, adapter, rounding, to: output), baked = try Checkpoint(path: bench.path(output))
      #expect(baked.weights.map(\.stored.name) == base.weights.map(\.stored.name))
      for (old, new) in zip(base.weights, baked.weights) {
        let entry = result.entries.first { $0.name == old.entry.name }
        guard let entry else {
          // In-place scales may grow; everything else stays to the byte.
          let isScale = base.weights.contains {
            $0.quantisation?.scale.map { base.weights[$0].stored.name } == old.stored.name
          }
          #expect(isScale || bytes(base, old) == bytes(baked, new), "\(old.stored.name)")
          continue
        }
        let change = zip(baked.decodedTensor(new).doubles(), base.decodedTensor(old).doubles()).map { $0 - $1 }
        let survival = entry.survival, moved = change.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(survival.notFiniteCount == 0)
        // What the account says is what is in the file: ‖Q − W‖² = 2⟨Q − W, Δ⟩ − ‖Δ‖² + ‖Q − W − Δ‖².
        let expected = 2 * survival.projection - survival.deltaEnergy + survival.residualEnergy
        #expect(
          (moved * moved - expected).magnitude <= 2e-3 * max(expected, survival.deltaEnergy),
          "\(entry.name) \(rounding as Any)")
        // Rows of zeros, and padding, cannot take any of it.
        if rounding != .nearest {
          #expect(survival.share! > 0.3, "\(entry.name) \(rounding as Any): \(survival.share!)")
        }
      }
      try bench.unbake(output, undo: "undo", to: "back")
      #expect(try hash("back") == hash(file), "\(rounding as Any)")
    }
  }

  @Test("adapters at strength 0 leave every byte of the tensors, and next to 0 every number", arguments: files)
  func nothing(file: String) throws {
    let (base, adapter) = try prepare(file, share: 0.02)
    let output = "out" + (file.hasSuffix(".gguf") ? ".gguf" : ".safetensors")
    var recipe = BakeRecipe(base: base.path, inputs: [.init(path: adapter, strength: 1e-30)])
    if base.path.hasSuffix(".gguf") { recipe.container = .gguf }
    for strength in [0.0, 1e-30] {
      recipe.inputs = [.init(path: adapter, strength: strength)]
      _ = try BakePlan(recipe).write(to: bench.path(output), overwriting: true, threads: 1)
      let baked = try Checkpoint(path: bench.path(output))
      for (old, new) in zip(base.weights, baked.weights) {
        if strength == 0 { #expect(bytes(base, old) == bytes(baked, new), "\(old.stored.name)") }
        guard old.quantisation?.codec.grid != nil || old.isInPlace else { continue }
        let change = zip(baked.decodedTensor(new).doubles(), base.decodedTensor(old).doubles()).map {
          ($0 - $1).magnitude
        }
        #expect(change.allSatisfy { $0 < 1e-25 }, "\(old.stored.name)")
      }
    }
  }

  @Test("what a base's own codes can store of a sum is what a bake at random stores", arguments: files)
  func ownCodes(file: String) throws {
    let (base, adapter) = try prepare(file, share: 0.02)
    let output = "out" + (file.hasSuffix(".gguf") ? ".gguf" : ".safetensors")
    var recipe = BakeRecipe(base: base.path, inputs: [.init(path: adapter)], rounding: .stochastic, seed: 0)
    if base.path.hasSuffix(".gguf") { recipe.container = .gguf }
    let plan = try BakePlan(recipe)
    _ = try plan.write(to: bench.path(output), overwriting: true, threads: 2)
    let baked = try Checkpoint(path: bench.path(output))
    var compared = 0
    for name in base.names(of: .denoiser).map({ WeightName(.denoiser, $0) }) {
      let weight = try #require(base.weight(named: name)), shape = weight.shape, stored = weight.pieces[0].stored
      guard let numbers = try plan.weights.weightInOwnCodes(named: name, shape: shape)?.floats() else {
        #expect(plan.weights.additions[stored] == nil, "\(name)")
        continue
      }
      let expected = try baked.weight(named: name, shape: shape).floats(), size = expected.map(\.magnitude).max()!
      if base.weights[stored].isInPlace {
        // A bake draws otherwise there, and enlarges scales where a sum is beyond them.
        let sums = try plan.weights.weight(named: name, shape: shape).floats()
        func error(_ values: [Float]) -> Double {
          zip(values, sums).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }.squareRoot()
        }
        let ratio = error(numbers) / error(expected)
        #expect(ratio > 0.8 && ratio < 1.25, "\(name): \(ratio)")
      } else {
        #expect(zip(numbers, expected).allSatisfy { ($0 - $1).magnitude <= 1e-6 * size }, "\(name)")
      }
      compared += 1
    }
    #expect(compared > 0)
  }

  @Test("the same bytes with any number of threads, and those that are rehearsed")
  func threads() throws {
    let (base, adapter) = try prepare("gguf_write.gguf", share: 0.01)
    var hashes: Set<String> = []
    for threads in [1, 2, 3] {
      var recipe = BakeRecipe(base: base.path, inputs: [.init(path: adapter)])
      recipe.container = .gguf
      let plan = try BakePlan(recipe)
      let rehearsed = try plan.rehearsed(output: "", threads: threads)
      let written = try plan.write(to: bench.path("out.gguf"), overwriting: true, threads: threads)
      #expect(rehearsed.entries.map(\.survival) == written.entries.map(\.survival))
      hashes.insert(try hash("out.gguf"))
    }
    #expect(hashes.count == 1)
  }

  private func bytes(_ checkpoint: Checkpoint, _ weight: Checkpoint.Weight) -> [UInt8] {
    checkpoint.storedBytes(weight).withUnsafeBytes(Array.init)
  }
}
