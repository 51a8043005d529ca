public import Checkpoints
import Factoring
import Files
public import JSON
public import Models
public import Rendering

/// How much a base's prediction feels an error in each of its layers. It is a property of the base: measured once, it serves
/// every adapter that is made smaller for it.
public struct SensitivityTable: JSONReport, Codable, Equatable {
  public static let schema = "lathe.sensitivity/1"

  /// One layer of the base.
  public struct Layer: Codable, Sendable, Equatable {
    /// In diffusers' names, with the network in front: `denoiser.mid_block.resnets.0.conv1`.
    public var layer: String
    /// Layers of a group were changed together and have one value.
    public var group: String
    /// E‖Δε‖² ÷ E‖Δy‖²: of the predictions, for noise in the layer's outputs.
    public var sensitivity: Double
    /// Columns of its weight.
    public var inputs: Int
    /// E‖x‖² of a row of what goes into it.
    public var inputEnergy: Double
  }

  /// A file of the base.
  public struct Source: Codable, Sendable, Equatable {
    /// In the base's folder; the file's own name for a base of one file.
    public var file: String
    /// SHA-256 of its tensors.
    public var contentSha256: String
  }

  /// Of Lathe.
  public var version: String
  /// The base that was measured.
  public var base: [Source]
  /// The kind of model, by its name for people: `SDXL`.
  public var family: String
  /// What was drawn.
  public var prompts: [String]
  /// Height and width in pixels.
  public var size: [Int]
  /// How closely prompts were followed.
  public var cfg: Double
  /// Of the first prompt's noise; the next ones count on.
  public var seed: UInt64
  /// In the order in which they run.
  public var layers: [Layer]
}

extension SensitivityTable {
  /// Reads a table.
  ///
  /// - Throws: `FileError` for a file that cannot be read, `CalibrationError.table` for one that is no table.
  public init(path: String) throws {
    let file = try MappedFile(path: path)
    do {
      try self.init(jsonText: file.bytes.withUnsafeBytes { Array($0) })
    } catch {
      throw CalibrationError(.table(reason: "expected a table of sensitivities (\(Self.schema))"), path: path)
    }
    // Squares and quotients of these are numbers; a layer that is not felt at all has 0.
    let usual = 1e-60...1e60
    for layer in layers
    where layer.inputs < 1 || !([layer.sensitivity, layer.inputEnergy].allSatisfy { $0 == 0 || usual.contains($0) }) {
      throw CalibrationError(
        .table(reason: "\(layer.layer): expected numbers of 0 or of 1e-60 to 1e60, found another"), path: path)
    }
    guard layers.contains(where: { $0.sensitivity > 0 }) else {
      throw CalibrationError(.table(reason: "expected a layer that can be felt, found none"), path: path)
    }
  }

  /// Refuses a table of another kind of model.
  ///
  /// - Throws: `CalibrationError.otherModel`.
  public func require(_ family: Family, path: String) throws(CalibrationError) {
    guard family == .unknown || self.family == Family.unknown.name || self.family == family.name else {
      throw CalibrationError(.otherModel(expected: family.name, found: self.family), path: path)
    }
  }

  /// Whether it was measured on these very files.
  public func isOf(_ hashes: [String]) -> Bool { base.map(\.contentSha256) == hashes }

  /// Where a table of a base is looked for: beside it, with its name.
  public static func usualPath(for base: Checkpoint) -> String {
    var path = base.path
    while path.hasSuffix("/"), path.count > 1 { path.removeLast() }
    for ending in [".safetensors", ".ckpt", ".gguf", ".json"] where path.hasSuffix(ending) {
      path.removeLast(ending.count)
    }
    return path + ".sensitivity.json"
  }

  /// What was measured.
  ///
  /// - Parameter hashes: of the base's files.
  public init(
    _ layers: [Calibration.LayerSensitivity], of base: Checkpoint, hashes: [String],
    measuredWith calibration: Calibration
  ) {
    self.init(
      version: ToolVersion.current,
      base: zip(base.files, hashes).map { Source(file: $0.relativePath, contentSha256: $1) }, family: base.family.name,
      prompts: calibration.scenes.map(\.prompt), size: [calibration.size.height, calibration.size.width],
      cfg: Double(calibration.guidance.scale), seed: calibration.scenes[0].seed,
      layers: layers.map {
        Layer(
          layer: Self.name(of: $0.weight), group: Self.name($0.group), sensitivity: $0.sensitivity, inputs: $0.inputs,
          inputEnergy: $0.energy)
      })
  }

  /// SHA-256 of the tensors of each of the base's files.
  public static func hashes(of base: Checkpoint) -> [String] {
    base.files.map { ContentHash.sha256(streaming: $0.contents.data) }
  }
}

extension SensitivityTable {
  /// The names of layers as tables have them.
  static func name(of weight: WeightName) -> String { name(weight.description) }

  private static func name(_ weight: String) -> String {
    weight.hasSuffix(".weight") ? String(weight.dropLast(7)) : weight
  }
}
