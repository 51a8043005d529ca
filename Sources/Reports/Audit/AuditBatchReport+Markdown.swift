import Audit

extension AuditBatchReport {
  /// A page with a table that leads to all reports: what failed first, then what has no audit.
  public var markdown: String {
    let shown: [(title: String, measure: AuditMeasure)] = [
      ("error of the weights", .weightError), ("error of the prediction", .probeError),
      ("SSIMULACRA2", .perceptualScore),
    ]
    let groups = [
      ("failed", rows.filter { $0.passed == false }), ("not audited", rows.filter { $0.passed == nil }),
      ("passed", rows.filter { $0.passed == true }),
    ]
    var lines = [
      "# Audits", "", "\(rows.count) rows: \(passed) passed, \(failed) failed, \(notAudited) not audited.", "",
      "| name | result | verdict | \(shown.map(\.title).joined(separator: " | ")) | note |",
      "|---|---|---|\(shown.map { _ in "---:|" }.joined())---|",
    ]
    for (title, rows) in groups {
      for row in rows {
        let values = shown.map { item in
          row.checks.first { $0.name == item.measure.rawValue }?.value.map(Numbers.short) ?? ""
        }
        let name = row.report.map { "[\(row.name.literal)](\($0.linkPath))" } ?? row.name.literal
        let cells = [name, title, row.verdict ?? ""] + values + [(row.error ?? row.faults).literal]
        lines.append("| " + cells.joined(separator: " | ") + " |")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension String {
  /// The text in a cell of a table, no character of which is taken for formatting.
  fileprivate var literal: String {
    reduce(into: "") { text, character in
      if "\\`*_[]<>|~&".contains(character) { text.append("\\") }
      text.append(character)
    }
  }

  /// The path as a link has it.
  fileprivate var linkPath: String {
    let digits = Array("0123456789ABCDEF")
    return utf8.reduce(into: "") { text, byte in
      let character = Character(UnicodeScalar(byte))
      let isPlain = byte < 0x80 && (character.isLetter || character.isNumber || "-._~/".contains(character))
      text += isPlain ? "\(character)" : "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
    }
  }
}
