import Audit
import Models
import Tensors

extension AuditFormat {
  static let markdown = AuditFormat("report.md") { report, _ in report.markdown }
}

extension AuditReport {
  /// The report in Markdown as GitHub shows it; pictures are linked by their paths beside the report.
  ///
  /// Prompts, names and paths stand in it as text: nothing in them becomes markup.
  public var markdown: String {
    let sign =
      switch AuditVerdict(rawValue: verdict) {
      case .withinNoise: "✅"
      case .visibleButSmall: "🟡"
      case .different, nil: "❌"
      }
    var parts = ["# \(sign) Lathe audit: \(verdict.markdown)", "**\(tally).** \(summary.markdown)"]
    if !reasons.isEmpty { parts.append(Self.list("1. ", reasons)) }
    parts.append(
      Self.table(
        ["", "what"],
        [
          ["before", recipe.before.label.markdown], ["after", recipe.after.label.markdown],
          ["base", (recipe.base.map(\.path).joined(separator: ", ") + ", " + recipe.family).markdown],
        ]))
    func section(_ title: String, _ about: String, _ content: [String]) {
      parts += ["## \(title)"] + (about.isEmpty ? [] : [about]) + content
    }
    if !checks.isEmpty {
      section(
        "Checks", "A harmless change is one that everybody accepts; a value near it means that nothing was lost.",
        [checksTable])
    }
    if !notMeasured.isEmpty { section("Not measured", "", [Self.list("- ", notMeasured)]) }
    if !warnings.isEmpty { section("Warnings", "", [Self.list("- ", warnings)]) }
    if !pictures.isEmpty {
      section(
        "Pictures", Metric.main.scale.map { "\(Metric.main.title): \($0)." } ?? "", [picturesTable])
    }
    let measuredNulls = nulls.filter { !$0.rows.isEmpty }
    if !measuredNulls.isEmpty {
      section("Harmless changes", "A difference that is no larger than this is noise.", [nullsTable(measuredNulls)])
    }
    if let probe {
      section("Noise prediction", "How far the UNet's prediction moves, at \(probe.size.markdown).", [table(probe)])
    }
    if let weights, !weights.blocks.isEmpty {
      section(
        "Blocks",
        "Relative error of all weights: \(AuditPage.percent(weights.relativeError)); \(weights.nullName) makes "
          + "\(AuditPage.percent(weights.null)).", [Self.table(weights.blocks, title: "block")])
    }
    if let weights, !weights.targets.isEmpty {
      let worst = Self.worst(weights.targets, 20)
      section(
        "Worst targets", "\(worst.count) of \(weights.targets.count).", [Self.table(worst, title: "weight")])
    }
    if !crossTalk.isEmpty {
      section("Cross-talk", "From 0.3 on two adapters are seen to mix.", [crossTalkTable])
    }
    if !costs.isEmpty { section("Cost", "", [costTable]) }
    section("Recipe", "", recipeParts)
    return parts.joined(separator: "\n\n") + "\n"
  }

  // MARK: Tables

  private var checksTable: String {
    Self.table(
      ["", "check", "-value", "-limit", "-harmless change", "worst", "meaning"],
      checks.map { check in
        [
          check.pass ? "✅ pass" : "❌ **fail**", check.title.markdown,
          check.value.map(AuditPage.number) ?? "not measured",
          (check.isLeast ? "≥ " : "≤ ") + AuditPage.number(check.limit), check.null.map(AuditPage.number) ?? "–",
          check.worst?.markdown ?? "–",
          (check.meaning + (check.advice.isEmpty ? "" : " " + check.advice)).markdown,
        ]
      })
  }

  private var picturesTable: String {
    func picture(_ name: String, _ path: String) -> String { "![\(name)](\(path.markdownTarget))" }
    return Self.table(
      ["prompt", "-strength", "before", "after", "difference"] + Self.metricTitles + ["verdict"],
      pictures.map { item in
        [
          item.prompt.markdown + "<br>seed \(item.seed)", Numbers.short(item.strength), picture("before", item.before),
          picture("after", item.after), picture("difference", item.difference),
        ] + Self.figures(item.likeness) + [item.verdict.markdown]
      })
  }

  private func nullsTable(_ nulls: [Null]) -> String {
    Self.table(
      ["change", "prompt", "-seed", "-strength"] + Self.metricTitles,
      nulls.flatMap { null in
        null.rows.map { row in
          [null.name.markdown, row.prompt.markdown, "\(row.seed)", Numbers.short(row.strength)]
            + Self.figures(row.likeness)
        }
      })
  }

  private static let metricTitles = Metric.all.map { "-\($0.title)" }

  private static func figures(_ likeness: Likeness) -> [String] {
    AuditPage.LikenessNumbers(likeness).figures.map(\.metricValue)
  }

  private func table(_ probe: Probe) -> String {
    Self.table(
      ["prompt", "-time", "-relative error", "-harmless change", "-of what the adapters do"],
      probe.rows.map {
        [
          $0.prompt.markdown, Numbers.short($0.time), AuditPage.percent($0.relativeError), AuditPage.percent($0.null),
          AuditPage.percent($0.effectError),
        ]
      })
  }

  private static func table(_ rows: [WeightRow], title: String) -> String {
    table(
      [title, "-relative error", "-of the base", "-norm before", "-norm after", "-norm of difference"],
      rows.map {
        [
          $0.name.markdown, AuditPage.percent($0.relativeError), AuditPage.percent($0.baseRelativeError),
          AuditPage.number($0.normBefore), AuditPage.number($0.normAfter), AuditPage.number($0.difference),
        ]
      })
  }

  private var crossTalkTable: String {
    Self.table(
      ["adapter", "disturbs", "-outputs", "-inputs", "-cosine"],
      crossTalk.map {
        [
          $0.source.markdown, $0.target.markdown, AuditPage.number($0.output), AuditPage.number($0.input),
          $0.cosine.map(AuditPage.number) ?? "–",
        ]
      })
  }

  private var costTable: String {
    Self.table(
      ["", "-adapters", "-files", "-factors in memory", "-reading the weights", "-a step", "-arithmetic more"],
      costs.map(AuditPage.CostRow.init).map {
        [$0.costName.markdown, "\($0.adapters)", $0.files, $0.factors, $0.load, $0.step, $0.arithmetic]
      })
  }

  private var recipeParts: [String] {
    // A fence longer than any row of backticks inside it.
    let longest = recipe.commandLine.split(whereSeparator: { $0 != "`" }).map(\.count).max() ?? 0
    let fence = String(repeating: "`", count: max(3, longest + 1))
    return [
      "\(fence)sh\n\(recipe.commandLine.oneLine)\n\(fence)",
      Self.table(["setting", "value"], recipe.settings.map { [$0.name, $0.value.markdown] }),
      Self.table(
        ["is", "file", "-bytes", "SHA-256"],
        recipe.files.map {
          [
            $0.role.markdown, $0.file.path.markdown, Numbers.grouped($0.file.bytes),
            $0.file.sha256?.markdown ?? "not hashed",
          ]
        }),
      Self.table(
        ["prompt", "negative prompt", "-seed", "-size", "strengths"],
        recipe.scenes.map {
          [
            $0.prompt.markdown, $0.negative?.markdown ?? "–", "\($0.seed)", $0.size.text,
            $0.strengths.map(Numbers.short).joined(separator: ", "),
          ]
        }),
    ]
  }

  // MARK: Pieces

  /// The rows with the largest relative errors, in that order; those that are no numbers first.
  private static func worst(_ rows: [WeightRow], _ count: Int) -> ArraySlice<WeightRow> {
    func key(_ row: WeightRow) -> Double { row.relativeError.isNaN ? .infinity : row.relativeError }
    return rows.enumerated().sorted { (key($0.element), $1.offset) > (key($1.element), $0.offset) }.map(\.element)
      .prefix(count)
  }

  private static func table(_ rows: ArraySlice<WeightRow>, title: String) -> String { table(Array(rows), title: title) }

  /// - Parameter head: titles of the columns; with `-` before them for numbers, which stand at the right.
  private static func table(_ head: [String], _ rows: [[String]]) -> String {
    let titles = head.map { $0.hasPrefix("-") ? String($0.dropFirst()) : $0 }
    let rule = head.map { $0.hasPrefix("-") ? "---:" : "---" }
    return ([titles, rule] + rows).map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }

  private static func list(_ sign: String, _ items: [String]) -> String {
    items.map { sign + $0.markdown }.joined(separator: "\n")
  }
}
