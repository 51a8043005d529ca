import Adapters
import FoundationEssentials
import Merging
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Every family of changes against the libraries that define them; see `Tests/Goldens/changes`.
@Suite struct ChangeGoldenTests {
  struct Cell: Decodable, Sendable {
    let file: String
    let target: String
    let parameter: String
    let family: String
    let kind: String
    let form: String
    let producer: String
    let rule: String?
    /// The base's name of a stacked weight, which the file does not tell.
    let named: String?
    let base: String
    /// Names in `expected.safetensors` by strength.
    let expected: [String: String]
  }

  private struct Document: Decodable { let cells: [Cell] }

  private static let cells: [Cell] = {
    let data = try! Goldens.data("changes/cells.json")
    return try! JSONDecoder().decode(Document.self, from: data).cells
  }()

  /// VeRA without its projections has no formula: they exist only in the trainer.
  static let files: [String] = Set(cells.map(\.file)).subtracting(["peft-vera-without"]).sorted()

  private static func tensor(_ name: String, _ file: SafetensorsFile) throws -> Tensor {
    file.tensor(file.entries[try #require(file.index(of: name))])
  }

  /// The base's name of what a cell changes.
  private static func weight(_ cell: Cell) -> String {
    if let named = cell.named { return named }
    var module = cell.target
    if module.hasSuffix(".base_layer") { module.removeLast(".base_layer".count) }
    for prefix in ["lora_unet_", "oft_unet_", "base_model.model.", "diffusion_model.", "unet.", "transformer."]
    where module.hasPrefix(prefix) {
      module.removeFirst(prefix.count)
    }
    return cell.parameter == "itself" ? module : "\(module).\(cell.parameter)"
  }

  @Test("each family's bake is the library's own, at every strength and by every rule", arguments: files)
  func bakes(_ file: String) throws {
    let bench = try Bench(), own = Self.cells.filter { $0.file == file }
    let weights = try SafetensorsFile(path: Goldens.path("changes/weights.safetensors"))
    let expected = try SafetensorsFile(path: Goldens.path("changes/expected.safetensors"))
    var base: [String: NamedValues] = [:]
    for cell in own {
      let tensor = try Self.tensor(cell.base, weights), name = Self.weight(cell)
      base[name] = (name, tensor.shape.extents, .f32, tensor.doubles())
    }
    try bench.base(base.values.sorted { $0.name < $1.name })
    var worst: [String: Double] = [:]
    for rule in Set(own.map(\.rule)) {
      for strength in ["0", "0.5", "1", "-0.7"] {
        let cells = own.filter { $0.rule == rule && $0.expected[strength] != nil }
        // No adapter at strength 0 changes anything here, whatever a library's formula makes of it.
        guard !cells.isEmpty, !(strength == "0" && rule != nil) else { continue }
        var recipe = BakeRecipe(
          base: bench.path("base.safetensors"),
          inputs: [.init(path: Goldens.path("changes/\(file)"), strength: Double(strength)!)], dtype: .f32)
        recipe.rule = try #require(StrengthRule(rawValue: rule ?? "linear"))
        // Square experts may be stored either way; only a model's configuration could tell.
        recipe.allowsUnmatched = file.hasPrefix("peft-experts")
        // Cells of one rule only do not fill the whole file, but their base does.
        let output = bench.path("\(rule ?? "linear")\(strength).safetensors")
        _ = try BakePlan(recipe).write(to: output, undo: nil, overwriting: false, threads: 1, progress: nil)
        let result = try SafetensorsFile(path: output)
        for cell in cells {
          let wanted = try Self.tensor(try #require(cell.expected[strength]), expected).doubles()
          if let shape = cell.named.map({ _ in weights.entries[weights.index(of: cell.base)!].shape }),
            shape[1] == shape[2]
          {
            continue
          }
          let before = try Self.tensor(cell.base, weights).doubles()
          let found = try Self.tensor(Self.weight(cell), result).doubles()
          try #require(wanted.count == found.count, "\(cell)")
          // Rounding to single precision is relative to the sum.
          let size = max(Dense.norm(zip(wanted, before).map { $0 - $1 }), 1e-2 * Dense.norm(before))
          let error = Dense.norm(zip(found, wanted).map { $0 - $1 }) / size
          #expect(
            error <= 1e-5,
            "\(cell.target) (\(cell.family), \(cell.kind), \(cell.form), \(cell.rule ?? "linear")) at \(strength): \(error)"
          )
          let name =
            "\(cell.family) × \(cell.kind) × \(cell.form) × \(cell.producer)\(cell.rule.map { ", rule \($0)" } ?? "")"
          worst[name] = max(worst[name] ?? 0, error)
        }
      }
    }
    for name in worst.keys.sorted() { print("covered: \(name): \(worst[name]!)") }
  }
}
