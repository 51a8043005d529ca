import FoundationEssentials
import Safetensors
import Tensors
import TestSupport
import Testing

/// The goldens of changes that depend on a base; see `Tests/Goldens/changes`.
enum ChangeGoldens {
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

  static let cells: [Cell] = {
    struct Document: Decodable { let cells: [Cell] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("changes/cells.json")).cells
    } catch { fatalError("Tests/Goldens/changes/cells.json: \(error)") }
  }()

  /// VeRA without its projections has no formula: they exist only in the trainer.
  static let files: [String] = Set(cells.map(\.file)).subtracting(["peft-vera-without"]).sorted()

  static func tensor(_ name: String, _ file: SafetensorsFile) throws -> Tensor {
    file.tensor(file.entries[try #require(file.index(of: name))])
  }

  /// The base's name of what a cell changes.
  static func weight(_ cell: Cell) -> String {
    if let named = cell.named { return named }
    var module = cell.target
    if module.hasSuffix(".base_layer") { module.removeLast(".base_layer".count) }
    for prefix in ["lora_unet_", "oft_unet_", "base_model.model.", "diffusion_model.", "unet.", "transformer."]
    where module.hasPrefix(prefix) {
      module.removeFirst(prefix.count)
    }
    return cell.parameter == "itself" ? module : "\(module).\(cell.parameter)"
  }

  static func cells(of file: String) -> [Cell] { cells.filter { $0.file == file } }

  static func path(_ file: String) -> String { Goldens.path("changes/\(file)") }

  /// Writes the base that a file's cells change.
  static func writeBase(of file: String, to bench: Bench) throws {
    let weights = try SafetensorsFile(path: path("weights.safetensors"))
    var base: [String: NamedValues] = [:]
    for cell in cells(of: file) {
      let tensor = try tensor(cell.base, weights), name = weight(cell)
      base[name] = (name, tensor.shape.extents, .f32, tensor.doubles())
    }
    try bench.base(base.values.sorted { $0.name < $1.name })
  }
}
