/// A table for a terminal: columns aligned, and long names shortened in the middle so that a row fits the width.
struct TextTable {
  struct Column {
    enum Alignment { case left, right }

    let title: String
    let alignment: Alignment
    /// Whether cells may be shortened when the table is too wide.
    let mayShrink: Bool

    /// Text, at the left; may be shortened.
    static func name(_ title: String) -> Column { Column(title: title, alignment: .left, mayShrink: true) }
    /// Short text, at the left.
    static func word(_ title: String) -> Column { Column(title: title, alignment: .left, mayShrink: false) }
    /// Numbers, at the right.
    static func number(_ title: String) -> Column { Column(title: title, alignment: .right, mayShrink: false) }
  }

  private static let gap = 2
  private static let narrowest = 12

  let columns: [Column]
  var rows: [[String]] = []

  init(_ columns: Column...) { self.columns = columns }
  init(columns: [Column]) { self.columns = columns }

  mutating func add(_ cells: String...) {
    precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
    rows.append(cells)
  }

  /// Lines of at most `width` characters, with a title line; columns that must not shrink can force more.
  func lines(width: Int) -> [String] {
    var widths = columns.indices.map { i in ([columns[i].title] + rows.map { $0[i] }).map(\.count).max()! }
    var excess = widths.reduce(0, +) + Self.gap * (columns.count - 1) - width
    // The widest column that may gives way, character by character, until the row fits or none is left to give.
    while excess > 0,
      let widest = columns.indices.filter({ columns[$0].mayShrink && widths[$0] > Self.narrowest })
        .max(by: { widths[$0] < widths[$1] })
    {
      widths[widest] -= 1
      excess -= 1
    }
    return ([columns.map(\.title)] + rows).map { row in
      let cells = columns.indices.map { i -> String in
        let cell = row[i].shortened(to: widths[i])
        let padding = String(repeating: " ", count: widths[i] - cell.count)
        return columns[i].alignment == .left ? cell + padding : padding + cell
      }
      return cells.joined(separator: String(repeating: " ", count: Self.gap)).trimmingTrailingSpaces
    }
  }
}

extension String {
  /// At most `count` characters, the middle replaced by an ellipsis: targets differ at both ends.
  func shortened(to count: Int) -> String {
    guard self.count > count else { return self }
    let front = (count - 1) / 3
    return prefix(front) + "…" + suffix(count - 1 - front)
  }

  fileprivate var trimmingTrailingSpaces: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
