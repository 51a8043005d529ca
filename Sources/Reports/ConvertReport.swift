public import Converting
import Factoring
public import JSON
import Tensors

/// What a conversion wrote, or would write.
public struct ConvertReport: JSONReport {
  public static let schema = "lathe.convert/1"

  struct TargetRow: Encodable, Sendable {
    var name: String
    var newName: String
    /// Whether the delta is the same to the last bit; `null` before it is written.
    @Explicit var exact: Bool? = nil
    @Explicit var relativeError: Double? = nil
  }

  /// Path of the converted file or folder; in a dry run, of what would be written.
  public let output: String
  let format: String
  let bytes: Int
  let dryRun: Bool
  let targets: [TargetRow]
  let splitOut: [String]
  /// Targets and tensors that the output lacks because the user allowed it, each with the reason.
  public let skipped: [String]
  /// The plan's notes, with hints where there are some.
  public let warnings: [String]
  private let hasNarrowFactors: Bool

  private enum CodingKeys: String, CodingKey {
    case output, format, bytes, dryRun, targets, splitOut, skipped, warnings
  }

  /// - Parameters:
  ///   - plan: the one that `result` comes from.
  ///   - isDryRun: whether `result` is a prediction, which has no errors yet.
  public init(_ result: ConvertResult, plan: ConvertPlan, isDryRun: Bool, hints: ReportHints = .none) {
    output = result.output
    format = plan.format.rawValue
    bytes = result.bytes
    dryRun = isDryRun
    targets = result.entries.map {
      TargetRow(
        name: $0.name, newName: $0.newName, exact: $0.relativeError.map { $0 == 0 }, relativeError: $0.relativeError)
    }
    splitOut = result.splitOut
    skipped = plan.skipped
    warnings = hints.lines(of: plan.notes)
    hasNarrowFactors = plan.hasNarrowFactors
  }

  // MARK: Text

  /// How many deltas are exact, and by how much the others are rounded at most.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each target gets a line.
  public func text(width: Int, showsTargets: Bool, hints: ReportHints = .none) -> String {
    var lines = ["\(output)\(dryRun ? "   (dry run: nothing was written)" : "")"]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 16) + value) }
    row("format", format)
    row("size", "\(Numbers.grouped(bytes)) bytes (\(ByteCount(bytes)))")
    let names = Set(targets.map(\.newName)).count, sources = Set(targets.map(\.name)).count
    row("targets", sources == names ? "\(names)" : "\(sources) as \(names)")
    if !dryRun { row("deltas", deltas(hints)) }
    for file in splitOut { row("embedding", file) }
    for entry in skipped { row("left out", entry) }
    if showsTargets {
      var table = TextTable(.name("target"), .name("new name"), .number("relative error"))
      for target in targets {
        table.add(
          target.name, target.newName,
          target.relativeError.map { $0 == 0 ? "exact" : Numbers.short($0) } ?? "–")
      }
      lines += table.lines(width: width)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func deltas(_ hints: ReportHints) -> String {
    let errors = Dictionary(targets.map { ($0.newName, $0.relativeError ?? 0) }, uniquingKeysWith: { a, _ in a })
    let rounded = errors.values.filter { $0 > 0 }
    guard let worst = rounded.max() else { return "all exact: the same to the last bit" }
    return "\(errors.count - rounded.count) exact, \(rounded.count) rounded by up to \(Numbers.short(worst))"
      + (hasNarrowFactors ? hints.ending(.narrowFactors) : "")
  }
}
