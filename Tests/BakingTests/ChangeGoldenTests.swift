import Adapters
import Factoring
import FoundationEssentials
import Models
import Safetensors
import Tensors
import TestSupport
import Testing

@testable import Baking

/// Every family of changes against the libraries that define them; see `Tests/Goldens/changes`.
@Suite struct ChangeGoldenTests {
  @Test("each family's bake is the library's own, at every strength and by every rule", arguments: ChangeGoldens.files)
  func bakes(_ file: String) throws {
    let bench = try Bench(), own = ChangeGoldens.cells(of: file)
    let weights = try SafetensorsFile(path: ChangeGoldens.path("weights.safetensors"))
    let expected = try SafetensorsFile(path: ChangeGoldens.path("expected.safetensors"))
    try ChangeGoldens.writeBase(of: file, to: bench)
    var worst: [String: Double] = [:]
    for rule in Set(own.map(\.rule)) {
      for strength in ["0", "0.5", "1", "-0.7"] {
        let cells = own.filter { $0.rule == rule && $0.expected[strength] != nil }
        // No adapter at strength 0 changes anything here, whatever a library's formula makes of it.
        guard !cells.isEmpty, !(strength == "0" && rule != nil) else { continue }
        var recipe = BakeRecipe(
          base: bench.path("base.safetensors"),
          inputs: [.init(path: ChangeGoldens.path(file), strength: Double(strength)!)], dtype: .f32)
        recipe.rule = try #require(StrengthRule(rawValue: rule ?? "linear"))
        // Square experts may be stored either way; only a model's configuration could tell.
        recipe.allowsUnmatched = file.hasPrefix("peft-experts")
        // Cells of one rule only do not fill the whole file, but their base does.
        let output = bench.path("\(rule ?? "linear")\(strength).safetensors")
        _ = try BakePlan(recipe).write(to: output, undo: nil, overwriting: false, threads: 1, progress: nil)
        let result = try SafetensorsFile(path: output)
        for cell in cells {
          let wanted = try ChangeGoldens.tensor(try #require(cell.expected[strength]), expected).doubles()
          if let shape = cell.named.map({ _ in weights.entries[weights.index(of: cell.base)!].shape }),
            shape[1] == shape[2]
          {
            continue
          }
          let before = try ChangeGoldens.tensor(cell.base, weights).doubles()
          let found = try ChangeGoldens.tensor(ChangeGoldens.weight(cell), result).doubles()
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
