import Audit
import Foundation
import JSON
import Testing

@testable import Reports

/// An audit as JSON, Markdown, CSV and text.
@Suite struct AuditReportTests {
  private let report = AuditReport.sample()

  @Test("JSON that is read back is written the same")
  func json() throws {
    for report in [report, .empty] {
      let text = try report.jsonText()
      let again = try AuditReport(jsonText: Data(text.utf8))
      #expect(try again.jsonText() == text)
    }
    let again = try AuditReport(jsonText: Data(try report.jsonText().utf8))
    #expect(again.pictures[0].likeness[.peakSignalToNoise] == .infinity)
    #expect(again.recipe.scenes == report.recipe.scenes)
    #expect(again.checks[2].value == nil)
  }

  // MARK: Markdown

  /// Cells of a row of a table, as GitHub splits them.
  private func cells(_ line: Substring) -> [String] {
    var cells = [""], isEscaped = false
    for scalar in line.unicodeScalars {
      if scalar == "|", !isEscaped { cells.append("") } else { cells[cells.count - 1].unicodeScalars.append(scalar) }
      isEscaped = scalar == "\\" && !isEscaped
    }
    return cells
  }

  @Test("every row of a table in Markdown has as many cells as its head")
  func tables() {
    var width = 0, tables = 0
    for line in report.markdown.split(separator: "\n", omittingEmptySubsequences: false) {
      guard line.hasPrefix("|") else {
        width = 0
        continue
      }
      if width == 0 { (width, tables) = (cells(line).count, tables + 1) }
      #expect(cells(line).count == width, "\(line)")
    }
    #expect(tables == 12)
  }

  @Test("nothing from strangers is markup in Markdown")
  func markdown() {
    let text = report.markdown
    // The command line stands in a fence, where all is text.
    let parts = text.components(separatedBy: "```")
    #expect(parts.count == 3)
    let rest = (parts[0] + parts[2]).replacing("<br>", with: "")
    #expect(!rest.unicodeScalars.contains { $0 == "<" || $0 == ">" })
    #expect(!rest.contains("https://"))
    #expect(rest.contains("a \\| b \\`c\\` \\*d\\* \\[e\\](https\\://example.org) &lt;f&gt; \\\\ g h"))
    #expect(parts[1].hasPrefix("sh\nlathe audit 'it'\\''s; a base' '"))
  }

  @Test("Markdown links the pictures by their paths, and tells the worst twenty targets from the worst on")
  func pictures() throws {
    let text = report.markdown
    #expect(text.contains("![before](pictures/0%7C%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert%282%29%3E-0.5-before.png)"))
    #expect(text.contains("## Worst targets\n\n20 of 33."))
    let worst = try #require(text.range(of: "| worst | 90.0 %")).lowerBound
    let next = try #require(text.range(of: "| weight.29 | 3.0 %")).lowerBound
    #expect(worst < next)
    #expect(!text.contains("| weight.5 |"))
  }

  @Test("Markdown leaves out what has no data")
  func empty() {
    let headings = AuditReport.empty.markdown.split(separator: "\n").filter { $0.hasPrefix("#") }
    #expect(headings == ["# ✅ Lathe audit: within noise", "## Recipe"])
  }

  // MARK: CSV

  /// Rows and fields by RFC 4180.
  private func rows(_ csv: String) -> [[String]] {
    var rows = [[""]], isQuoted = false, wasQuote = false
    for scalar in csv.unicodeScalars {
      let end = rows.count - 1, last = rows[end].count - 1
      switch scalar {
      case "\"" where !isQuoted:
        if wasQuote { rows[end][last] += "\"" }
        (isQuoted, wasQuote) = (true, false)
      case "\"": (isQuoted, wasQuote) = (false, true)
      case "," where !isQuoted: rows[end].append("")
      case "\n" where !isQuoted: rows.append([""])
      default: rows[end][last].unicodeScalars.append(scalar)
      }
      if scalar != "\"" { wasQuote = false }
    }
    return rows.dropLast()
  }

  @Test("CSV is read back field by field")
  func csv() throws {
    let checks = rows(report.checksCSV)
    #expect(checks.count == 4 && checks.allSatisfy { $0.count == 10 })
    #expect(
      checks[2] == [
        "pictures.ssimulacra2", "likeness \(AuditReport.script)", "41.5", "70.0", "true", "false", "92.0",
        AuditReport.row,
        AuditReport.accent, "Do something | else.",
      ])
    #expect(checks[3][2] == "" && checks[3][6] == "" && checks[3][7] == "")
    let targets = rows(report.targetsCSV)
    #expect(targets.count == 34 && targets.allSatisfy { $0.count == 8 })
    #expect(targets[31][0] == AuditReport.row && targets[31][2] == "320x640x3x3" && targets[31][3] == "inf")
    let pictures = rows(report.picturesCSV)
    #expect(pictures.count == 6 && pictures.allSatisfy { $0.count == 11 + Metric.all.count })
    let ratio = try #require(pictures[0].firstIndex(of: Metric.peakSignalToNoise.name))
    #expect(pictures[1][ratio] == "inf")
    #expect(pictures[1][0] == "after" && pictures[1][4] == "0.5")
    #expect(pictures[3][2] == AuditReport.accent && pictures[5][0] == "f16 weights")
    #expect(rows(AuditReport.empty.targetsCSV).count == 1)
  }

  @Test("a comma with an accent is a comma")
  func accents() {
    #expect("a,\u{301}b".csvField == "\"a,\u{301}b\"")
    #expect("\"\u{301}".csvField == "\"\"\"\u{301}\"")
    #expect("\"\u{301}<\u{338}&".escaped == "&quot;\u{301}&lt;\u{338}&amp;")
    #expect("|\u{301}".markdown == "\\|\u{301}")
    #expect("it's\u{301}".shellArgument == "'it'\\''s\u{301}'")
  }

  // MARK: Text

  @Test("the text tells the verdict first and fits the terminal", arguments: [80, 100, 132])
  func text(width: Int) {
    let lines = report.text(width: width, page: "out/report.html").split(
      separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[0] == "different: 1 of 3 checks fails")
    #expect(lines.allSatisfy { $0.count <= width }, "\(lines.filter { $0.count > width })")
    #expect(lines.count < 40)
    #expect(lines.contains { $0.hasPrefix("FAIL  likeness") && $0.contains("≥ 70") })
    #expect(lines.contains("The whole report: out/report.html"))
    #expect(!report.text(width: width).contains("The whole report"))
  }

  @Test("every form of the report tells what earlier audits had rendered, and only then")
  func reused() throws {
    var report = report
    func texts() throws -> [String] {
      [
        report.text(width: 80), report.markdown, try AuditFormat.page.text(of: report, pictures: [:]),
        try report.jsonText(),
      ]
    }
    #expect(try texts().allSatisfy { !$0.contains("reused") && !$0.contains("from earlier audits") })
    report.recipe.reused = ["the base", "weights of 16 bits"]
    #expect(try texts().map { $0.contains("the base, weights of 16 bits") } == [true, true, true, false])
    #expect(try AuditReport(jsonText: Data(report.jsonText().utf8)).recipe.reused == report.recipe.reused)
  }

  @Test("nothing turns the direction of what stands after it")
  func direction() {
    let turned = "a\u{202e}b\u{2066}c"
    #expect(turned.escaped == "a\u{fffd}b\u{fffd}c")
    #expect(turned.markdown == "a b c" && turned.oneLine == "a b c")
  }

  @Test("control characters do not reach the terminal")
  func control() {
    var report = report
    report.checks[0].title = "red \u{1b}[31m"
    report.recipe.before.label = "a\u{1b}]0;title\u{7}"
    report.summary = "b\u{1b}[2J"
    report.checks[1].worst = "c\u{9b}2J"
    let text = report.text(width: 100)
    #expect(!text.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control })
  }

  @Test("an audit of nothing says so")
  func nothing() {
    #expect(AuditReport.empty.text(width: 80).hasPrefix("within noise: passed; nothing was checked\n"))
  }
}
