/// Cells in rows, coloured by how large their value is, as SVG for a page whose style sheet has the colours.
struct HeatMap {
  struct Row {
    var name: String
    /// Each cell's value, and what it tells when it is pointed at.
    var cells: [(value: Double, note: String)]
  }

  /// Where one colour ends and the next begins: shares of what was before.
  static let limits = [0.001, 0.01, 0.03, 0.1, 0.3, 1]

  private static let cell = 15.0, label = 190.0, columns = 40

  var title: String
  var rows: [Row]

  /// The number of a value's colour, 0 to `limits.count`; what is no number has the last.
  static func step(_ value: Double) -> Int { value.isNaN ? limits.count : limits.count { value >= $0 } }

  var svg: String {
    var parts: [String] = [], y = 0.0
    let widest = rows.map { min($0.cells.count, Self.columns) }.max() ?? 0
    for row in rows {
      parts.append(
        "<text class=\"soft\" x=\"\(Self.label - 10)\" y=\"\(y + Self.cell / 2)\" text-anchor=\"end\" dominant-baseline=\"central\">\(row.name.shortened(to: 28).escaped)</text>"
      )
      for (index, cell) in row.cells.enumerated() {
        let x = Self.label + Self.cell * Double(index % Self.columns)
        let top = y + Self.cell * Double(index / Self.columns)
        parts.append(
          "<rect class=\"h\(Self.step(cell.value))\" x=\"\(x)\" y=\"\(top)\" width=\"\(Self.cell - 2)\" height=\"\(Self.cell - 2)\" rx=\"2\"><title>\(cell.note.escaped)</title></rect>"
        )
      }
      y += Self.cell * Double(max(1, (row.cells.count + Self.columns - 1) / Self.columns)) + 4
    }
    let width = Int(Self.label + Self.cell * Double(widest)), height = Int(y)
    return "<svg viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" height=\"\(height)\" role=\"img\""
      + " aria-label=\"\(title.escaped)\">\n\(parts.joined(separator: "\n"))\n</svg>\n"
  }
}
