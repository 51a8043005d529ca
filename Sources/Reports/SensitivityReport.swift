public import Calibrating
import Tensors

/// A table of sensitivities, for people.
public struct SensitivityReport {
  private let table: SensitivityTable
  private let path: String

  /// - Parameter path: where the table is.
  public init(_ table: SensitivityTable, path: String) { (self.table, self.path) = (table, path) }

  /// The strongest groups, and how many there are.
  public func text(width: Int) -> String {
    var seen: Set<String> = []
    let groups = table.layers.filter { seen.insert($0.group).inserted }.sorted { $0.sensitivity > $1.sensitivity }
    let middle = groups.isEmpty ? 0 : groups[groups.count / 2].sensitivity
    var lines = [
      path, "  \(table.layers.count) layers, \(groups.count) measurements, \(table.prompts.count) prompts", "",
    ]
    var rows = TextTable(.name("felt most"), .number("sensitivity"), .number("× the middle one"))
    for group in groups.prefix(12) {
      rows.add(
        group.group, Numbers.short(group.sensitivity),
        middle > 0 ? Numbers.short(group.sensitivity / middle) : "–")
    }
    lines += rows.lines(width: width)
    return lines.joined(separator: "\n") + "\n"
  }
}
