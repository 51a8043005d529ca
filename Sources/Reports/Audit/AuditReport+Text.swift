import Models
import Tensors

extension AuditReport {
  /// The verdict with its reasons and checks, for a terminal: about a screenful.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - page: where the whole report is; `nil` when it is nowhere.
  public func text(width: Int, page: String? = nil) -> String {
    var lines = ["\(verdict.oneLine): \(tally)"]
    func row(_ label: String, _ value: String) {
      lines.append("  " + label.padded(to: 16) + value.oneLine.shortened(to: max(20, width - 18)))
    }
    row("before", recipe.before.label)
    row("after", recipe.after.label)
    let files = recipe.base.count
    row(
      "base",
      (recipe.base.first.map { "\($0.path), " } ?? "") + (files > 1 ? "\(files - 1) more, " : "") + recipe.family)
    if let reused = recipe.reused { row("reused", reused.joined(separator: ", ")) }
    lines += wrapped(summary, width: width, indent: "  ")
    if !reasons.isEmpty {
      lines += ["", passed ? "reasons" : "why it fails"]
      for reason in reasons { lines += wrapped(reason, width: width, indent: "    ", first: "  - ") }
    }
    if !checks.isEmpty {
      var table = TextTable(.word(""), .name("check"), .number("value"), .number("limit"), .number("harmless"))
      for check in checks {
        table.add(
          check.pass ? "pass" : "FAIL", check.title.oneLine, check.value.map(Numbers.short) ?? "–",
          (check.isLeast ? "≥ " : "≤ ") + Numbers.short(check.limit), check.null.map(Numbers.short) ?? "–")
      }
      lines += [""] + table.lines(width: width)
    }
    let failing = checks.filter { !$0.pass }
    let places = (failing.isEmpty ? checks : failing).filter { $0.worst != nil }
    if !places.isEmpty {
      lines += ["", "worst places"]
      for check in places {
        lines += wrapped("\(check.title): \(check.worst!)", width: width, indent: "    ", first: "  - ")
      }
    }
    var advice: [String] = []
    for check in checks where !check.pass && !check.advice.isEmpty && !advice.contains(check.advice) {
      advice.append(check.advice)
    }
    if !advice.isEmpty {
      lines += ["", "what to do"]
      for sentence in advice { lines += wrapped(sentence, width: width, indent: "    ", first: "  - ") }
    }
    if !notMeasured.isEmpty {
      lines += ["", "not measured"]
      for item in notMeasured { lines += wrapped(item, width: width, indent: "    ", first: "  - ") }
    }
    if let page { lines += ["", "The whole report: \(page)"] }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Lines of whole words; a word that is longer than a line has one of its own.
  private func wrapped(_ text: String, width: Int, indent: String, first: String? = nil) -> [String] {
    var lines: [String] = [], line = first ?? indent, isStart = true
    for word in text.oneLine.split(whereSeparator: \.isWhitespace) {
      if !isStart, line.count + 1 + word.count > width {
        lines.append(line)
        (line, isStart) = (indent, true)
      }
      line += (isStart ? "" : " ") + word
      isStart = false
    }
    return lines + [line]
  }
}
