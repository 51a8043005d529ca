import Calibrating
import Checkpoints
import Files
import Foundation
import Rendering
import Tensors

/// Finds the sensitivities of a base: in a file that was given, in one beside the base, or by measuring.
struct SensitivityRun {
  let base: Checkpoint
  let model: PictureModel
  /// Of the base's files.
  let hashes: [String]
  let common: CommonOptions

  /// - Parameters:
  ///   - path: of a table that was given.
  ///   - calibration: whose first scenes are drawn where there is no table.
  func table(_ path: String?, like calibration: Calibration) throws -> SensitivityTable {
    let usual = SensitivityTable.usualPath(for: base)
    if let path {
      let table = try SensitivityTable(path: path)
      try table.require(base.family, path: path)
      if !table.isOf(hashes) {
        common.warn(["\(path): measured on another base than \(base.path); right only where both are built alike"])
      }
      return table
    }
    if FileManager.default.fileExists(atPath: usual) {
      let table = try SensitivityTable(path: usual)
      if table.isOf(hashes) { return table }
      common.warn(["\(usual): measured on another base than \(base.path), and not used"])
    }
    common.warn([
      "\(base.path): its sensitivities are measured first, and for this run alone; hint: lathe sensitivity \(base.path) keeps them"
    ])
    let own = calibration.scenes.prefix(4)
    let usuals = Self.usualPrompts.dropFirst(own.count).map { Calibration.Scene(prompt: $0, seed: own[0].seed) }
    let few = Calibration(
      model, scenes: own + usuals, size: calibration.size, guidance: calibration.guidance,
      threads: common.threads)
    return try measured(few, isEach: false)
  }

  /// What is drawn where nobody says it.
  static let usualPrompts = [
    "a photo of a person in a street", "a landscape with a lake and mountains", "an animal in the grass, close up",
    "a room with furniture, evening light",
  ]

  /// Measures, and tells beforehand how long that takes.
  ///
  /// - Parameter partial: what an earlier run has found, and where this one keeps what it finds.
  func measured(
    _ calibration: Calibration, isEach: Bool, partial: PartialSensitivities? = nil
  ) throws -> SensitivityTable {
    let memory = Calibration.memory(model, base, size: calibration.size, threads: common.threads)
    common.announce("measuring how \(base.path) feels errors; about \(ByteCount(memory.peak)) of memory")
    var line: ProgressLine?
    defer { line?.finish() }
    let layers = try calibration.sensitivities(of: base, isEach: isEach, known: partial?.known ?? [:]) {
      name, value, step in
      if line == nil {
        let left = Double(step.total - step.done) * step.secondsPerGroup
        common.announce("\(step.total) measurements, about \(Int((left / 60).rounded(.up))) min")
        line = ProgressLine("measuring", total: step.total, isQuiet: common.quiet)
      }
      try partial?.add(name, value)
      line?.update(step.done)
    }
    return SensitivityTable(layers, of: base, hashes: hashes, measuredWith: calibration)
  }
}
