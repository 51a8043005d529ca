public import Baking
public import JSON
import Models
import Tensors

/// What a bake wrote, or would write, and what became of the delta.
public struct BakeReport: JSONReport {
  public static let schema = "lathe.bake/1"

  struct AdapterRow: Encodable, Sendable {
    var file: String
    var strength: Double
    var textEncoderStrength: Double
    var targets: Int
    var fitting: Int
  }

  struct Row: Encodable, Sendable {
    var name: String
    @Explicit var survival: Double?
    @Explicit var residual: Double?
    var moved: Double
    var deltaNorm: Double
  }

  struct FormatRow: Encodable, Sendable {
    /// `F16`, `Q4_K`, `nf4`.
    var name: String
    var weights: Int
    @Explicit var survival: Double?
    @Explicit var residual: Double?
    var moved: Double
  }

  struct FileRow: Encodable, Sendable {
    var path: String
    var bytes: Int
  }

  struct UndoRow: Encodable, Sendable {
    var path: String
    var bytes: Int
    /// For each changed weight.
    var bitsPerWeight: Double
  }

  /// Path of the baked file or folder; in a dry run, of what would be written.
  public let output: String
  let bytes: Int
  let dryRun: Bool
  let rounding: String
  let family: String
  let targetsBaked: Int
  let weightsChanged: Int
  let skipped: [String]
  @Explicit var survival: Double?
  @Explicit var residual: Double?
  let moved: Double
  let clamped: Int
  let peakMemory: Int
  let adapters: [AdapterRow]
  let formats: [FormatRow]
  let blocks: [Row]
  let weights: [Row]
  let files: [FileRow]
  @Explicit var undo: UndoRow?
  /// Sentences about what the plan found, and about what rounding lost or clamped, with hints where there are some.
  public let warnings: [String]
  /// Of `warnings` those that only the work has shown; the plan's own were known before.
  public let newWarnings: [String]

  private enum CodingKeys: String, CodingKey {
    case output, bytes, dryRun, rounding, family, targetsBaked, weightsChanged, skipped, survival, residual, moved
    case clamped, peakMemory, adapters, formats, blocks, weights, files, undo, warnings
  }

  /// - Parameters:
  ///   - plan: the one that `result` comes from.
  ///   - isDryRun: whether `result` is a prediction.
  ///   - threads: as many as worked; more take more memory.
  public init(_ result: BakeResult, plan: BakePlan, isDryRun: Bool, threads: Int, hints: ReportHints = .none) {
    let total = result.total
    output = result.output
    bytes = result.bytes
    dryRun = isDryRun
    rounding = plan.roundingNames
    family = plan.base.family.name
    targetsBaked = plan.targetCount
    weightsChanged = plan.changedCount
    skipped = plan.skipped
    survival = total.share
    residual = total.residual
    moved = total.moved
    clamped = total.clampedCount
    peakMemory = plan.peakMemory(threads: threads)
    adapters = plan.stack.layers.map { layer in
      AdapterRow(
        file: layer.input.path, strength: layer.input.strength, textEncoderStrength: layer.input.textEncoderStrength,
        targets: layer.fit.entries.count, fitting: layer.fit.fittingCount)
    }
    formats = result.formats.map {
      FormatRow(
        name: $0.name, weights: $0.weights, survival: $0.survival.share, residual: $0.survival.residual,
        moved: $0.survival.moved)
    }
    blocks = result.blocks.map { Self.row($0.name, $0.survival) }
    weights = result.entries.map { Self.row($0.name, $0.survival) }
    files = result.files.map { FileRow(path: $0.path, bytes: $0.bytes) }
    undo = result.undo.map {
      UndoRow(path: $0.path, bytes: $0.bytes, bitsPerWeight: 8 * Double($0.bytes) / Double(max(total.count, 1)))
    }
    newWarnings = Self.warnings(result, plan, hints)
    warnings = plan.warnings { hints(.bake($0)) } + newWarnings
  }

  private static func row(_ name: String, _ survival: Survival) -> Row {
    Row(
      name: name, survival: survival.share, residual: survival.residual, moved: survival.moved,
      deltaNorm: survival.deltaEnergy.squareRoot())
  }

  private static func warnings(
    _ result: BakeResult, _ plan: BakePlan, _ hints: ReportHints
  ) -> [String] {
    var warnings: [String] = []
    let total = result.total
    if result.losesMuch, let share = total.share {
      let formats = result.formats.filter { $0.survival.share != nil }
      let least = formats.count > 1 ? formats.min { $0.survival.share! < $1.survival.share! } : nil
      let worst = least.map { ", most of all in \($0.name) (\(Numbers.percent($0.survival.share!)))" } ?? ""
      warnings.append(
        "only \(Numbers.percent(share)) of the adapters' effect survives rounding: the rest is smaller than the steps "
          + "between the base's numbers\(worst)"
          + hints.ending(
            .littleSurvives(
              plan.roundings == [.nearest] ? .nearest : .shaped,
              hasLargerBlocks: plan.recipe.container == .gguf && result.formats.contains { $0.name != "Q8_0" })))
    }
    if total.clampedCount > 0 {
      warnings.append(
        "\(total.clampedCount) weights are beyond what their format's codes reach, and became the largest number there"
          + hints.ending(.clamped(plan.recipe.container))
      )
    }
    return warnings
  }

  // MARK: Text

  /// The size, the memory, what survived rounding, and a table.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each changed weight gets a line, rather than each block.
  public func text(width: Int, showsTargets: Bool) -> String {
    var lines = ["\(output)\(dryRun ? "   (dry run: nothing was written)" : "")"]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 16) + value) }
    row("base", family)
    for adapter in adapters {
      let strength =
        adapter.strength == adapter.textEncoderStrength
        ? Numbers.short(adapter.strength)
        : "\(Numbers.short(adapter.strength)), text encoder \(Numbers.short(adapter.textEncoderStrength))"
      row("adapter", "\(adapter.file) at \(strength), \(adapter.fitting) of \(adapter.targets) targets")
    }
    row("changed", "\(weightsChanged) weights")
    row("size", "\(Numbers.grouped(bytes)) bytes (\(ByteCount(bytes)))")
    row("memory", "at most \(ByteCount(peakMemory)) beside the file cache")
    row(
      "survival",
      (survival.map(Numbers.percent) ?? "–") + " of the delta is in the stored weights (\(rounding) rounding)")
    row(
      "residual",
      (residual.map { Numbers.short($0) } ?? "–") + " of the delta's norm is rounding error")
    row("moved", "\(Numbers.percent(moved)) of the changed weights' numbers")
    if let undo {
      row("undo", "\(undo.path), \(ByteCount(undo.bytes)), \(Numbers.fixed(undo.bitsPerWeight, 2)) bits a weight")
    }
    if !skipped.isEmpty {
      lines.append("  not baked:")
      lines += skipped.map { "    \($0)" }
    }
    if formats.count > 1 { lines += Self.table(formats).lines(width: width) + [""] }
    lines += Self.table(showsTargets ? weights : blocks, title: showsTargets ? "weight" : "block").lines(width: width)
    return lines.joined(separator: "\n") + "\n"
  }

  private static func table(_ rows: [FormatRow]) -> TextTable {
    var table = TextTable(
      .name("format"), .number("weights"), .number("survival"), .number("residual"), .number("moved"))
    for row in rows {
      table.add(
        row.name, "\(row.weights)", row.survival.map(Numbers.percent) ?? "–",
        row.residual.map { Numbers.short($0) } ?? "–",
        Numbers.percent(row.moved))
    }
    return table
  }

  private static func table(_ rows: [Row], title: String) -> TextTable {
    var table = TextTable(.name(title), .number("survival"), .number("residual"), .number("moved"))
    for row in rows {
      table.add(
        row.name, row.survival.map(Numbers.percent) ?? "–", row.residual.map { Numbers.short($0) } ?? "–",
        Numbers.percent(row.moved))
    }
    return table
  }
}
