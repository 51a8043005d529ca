import Adapters
import Baking
import Checkpoints
import Converting
import Extracting
import Factoring
import Foundation
import Merging
import Models
import Spectra
import Tensors
import TestSupport
import Testing

/// What works on which family in which dialect, tried on tiny models with the names of the real ones
/// (`Tests/Goldens/names/expected.json`). The table stands in `Sources/Models/README.md`; `RECORD_SNAPSHOTS=1` writes it there and fails.
@Suite struct FamilyMatrixTests {
  struct Model: Decodable, Sendable, CustomStringConvertible {
    let name: String
    let family: String
    let component: String
    let unmapped: [String]
    let original: [String: [Int]]
    let diffusers: [String: Golden]
    var description: String { name }

    /// A shape, and a checksum that is no business of this test.
    struct Golden: Decodable {
      let shape: [Int]
      init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        shape = try values.decode([Int].self)
      }
    }

    /// Layers and convolutions, by the authors' names.
    var modules: [(name: String, shape: [Int])] {
      original.filter { $1.count >= 2 && $0.hasSuffix(".weight") && !unmapped.contains($0) }
        .map { (String($0.dropLast(".weight".count)), $1) }.sorted { $0.0 < $1.0 }
    }
  }

  static let models: [Model] = {
    struct Document: Decodable { let models: [Model] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("names/expected.json")).models.filter {
        $0.component == "denoiser" && Family(named: $0.family)?.hasTransformer == true
      }
    } catch { fatalError("Tests/Goldens/names/expected.json: \(error)") }
  }()

  private static let verbs = ["check", "convert", "compare", "merge", "bake", "unbake"]
  private static let dialects: [AdapterFormat] = [.kohya, .native, .diffusers, .peft]

  @Test("The table in the README is what comes out")
  func table() throws {
    var lines = [
      "| family | model | layers | kohya | ComfyUI | diffusers | PEFT | extract |", "|---|---|--:|---|---|---|---|---|",
    ]
    for model in Self.models {
      let (cells, extracts) = try row(of: model)
      let texts = cells.map {
        $0 == Set(Self.verbs) ? "all six" : Self.verbs.filter($0.contains).joined(separator: ", ")
      }
      #expect(texts.allSatisfy { $0 == "all six" } && extracts, "\(model): \(texts), \(extracts)")
      lines.append(
        "| \(model.family) | \(model.name) | \(model.modules.count) | \(texts.joined(separator: " | ")) | \(extracts ? "yes" : "no") |"
      )
    }
    let table = lines.joined(separator: "\n") + "\n"
    print(table)
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Sources/Models/README.md")
    let readme = try String(contentsOf: path, encoding: .utf8)
    let start = readme.range(of: "| family |")?.lowerBound ?? readme.endIndex
    if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] != nil {
      try Data((readme[..<start] + table).utf8).write(to: path)
      Issue.record("recorded the table")
      return
    }
    #expect(readme[start...] == table)
  }

  /// What works in each dialect, and whether the change of a baked model is found again.
  private func row(of model: Model) throws -> (cells: [Set<String>], extracts: Bool) {
    let folder = try TemporaryFolder(), family = try #require(Family(named: model.family))
    let bases = try bases(of: model, folder)
    var pico = Pico(seed: 7)
    for (name, shape) in model.modules {
      pico.add(
        "lora_unet_" + name.replacing(".", with: "_"), rows: shape[0], inputs: shape[1], rank: 1,
        kernel: Array(shape.dropFirst(2)), alpha: 1)
    }
    let first = try pico.write(to: folder.file("first.safetensors")).assuming(family)
    func converted(_ source: Adapter, to format: AdapterFormat, _ name: String) throws -> Adapter {
      let path = folder.file(name + (format == .peft ? "" : ".safetensors"))
      _ = try ConvertPlan(ConvertRecipe(path: source.path, format: format, family: family)).write(
        to: path, overwriting: false, threads: 2)
      return try Adapter(path: path).assuming(family)
    }
    func isSame(_ a: Adapter, _ b: Adapter, within error: Double = 1e-6) throws -> Bool {
      let comparison = try Comparison(a, b, threads: 2)
      return comparison.relativeError <= error && comparison.entries.allSatisfy { $0.presence == .both }
    }
    var cells: [Set<String>] = [], extracts = false
    let there = try converted(first, to: .diffusers, "there")
    for format in Self.dialects {
      let name = format.rawValue, own = try converted(format == .diffusers ? first : there, to: format, name)
      var cell: Set<String> = []
      if try bases.allSatisfy({ try AdapterFit(own, on: $0).isComplete }) { cell.insert("check") }
      if try isSame(try converted(own, to: .kohya == format ? .diffusers : .kohya, name + "-back"), first) {
        cell.insert("convert")
      }
      if try isSame(first, own) { cell.insert("compare") }
      let merge = try DecomposedPlan(
        RefactorPlan(RefactorRecipe(merging: [(first, 0.5), (own, 0.5)], rule: .exact), adapters: [first, own]),
        threads: 2)
      let merged = folder.file(name + "-merged.safetensors")
      _ = try merge.write(merge.allocation(), to: merged, overwriting: false, threads: 2)
      if try isSame(try Adapter(path: merged).assuming(family), first) { cell.insert("merge") }
      var baked: [Checkpoint] = [], isBack = true
      for (index, base) in bases.enumerated() {
        let path = folder.file("\(name)-baked\(index).safetensors"), undo = folder.file("\(name)\(index).undo")
        let recipe = BakeRecipe(base: base.path, inputs: [AdapterInput(path: own.path)])
        _ = try BakePlan(recipe, adapters: [own], on: base).write(to: path, undo: undo, overwriting: false, threads: 2)
        baked.append(try Checkpoint(path: path))
        let back = folder.file("\(name)-back\(index).safetensors")
        _ = try Unbake(baked: path, undo: UndoFile(path: undo)).write(to: back, overwriting: false, threads: 2)
        isBack = try isBack && Data(contentsOf: URL(filePath: back)) == Data(contentsOf: URL(filePath: base.path))
      }
      if try isEqual(baked[0], baked[1], model), try !isEqual(baked[0], bases[0], model) { cell.insert("bake") }
      if isBack { cell.insert("unbake") }
      cells.append(cell)
      guard format == .native else { continue }
      let plan = try ExtractPlan(
        ExtractRecipe(base: bases[0].path, tuned: baked[0].path, rule: .ranks(.rank(1, conv: 1))))
      let path = folder.file("extracted.safetensors")
      let decomposition = try ExtractDecomposition(plan, output: path, threads: 2)
      _ = try decomposition.write(decomposition.allocation(), to: path, overwriting: false, threads: 2)
      extracts = try isSame(try Adapter(path: path).assuming(family), first, within: 1e-2)
    }
    return (cells, extracts)
  }

  /// The model in its authors' layout, and in diffusers'.
  private func bases(of model: Model, _ folder: TemporaryFolder) throws -> [Checkpoint] {
    let path = folder.file("base-original.safetensors")
    try writeAdapter(
      to: path,
      tensors: model.original.sorted { $0.key < $1.key }.enumerated().map {
        filler($1.key, $1.value, .f32, seed: UInt64($0 + 1))
      })
    let original = try Checkpoint(path: path)
    #expect(original.family.name == model.family)
    let other = folder.file("base-diffusers.safetensors")
    try writeAdapter(
      to: other,
      tensors: try model.diffusers.sorted { $0.key < $1.key }.map { name, golden in
        let tensor = try original.weight(named: WeightName(.denoiser, name), shape: Shape(golden.shape))
        return (name, golden.shape, .f32, tensor.doubles())
      })
    return [original, try Checkpoint(path: other)]
  }

  /// Whether two checkpoints have the same numbers under diffusers' names.
  private func isEqual(_ a: Checkpoint, _ b: Checkpoint, _ model: Model) throws -> Bool {
    try model.diffusers.allSatisfy { name, golden in
      let weight = WeightName(.denoiser, name), shape = Shape(golden.shape)
      return try a.weight(named: weight, shape: shape).doubles() == b.weight(named: weight, shape: shape).doubles()
    }
  }
}
