import Audit

extension AuditFormat {
  static let checks = AuditFormat("checks.csv") { report, _ in report.checksCSV }
  static let targets = AuditFormat("targets.csv") { report, _ in report.targetsCSV }
  static let pictures = AuditFormat("pictures.csv") { report, _ in report.picturesCSV }
}

/// Tables of an audit as CSV (RFC 4180, with line feeds): numbers with all digits, `inf` and `nan` as such, empty where
/// there is no value.
extension AuditReport {
  /// A line for each check, in the report's order.
  ///
  /// Columns: name, title, value, limit, is_least, pass, null, worst, meaning, advice.
  public var checksCSV: String {
    Self.csv(
      ["name", "title", "value", "limit", "is_least", "pass", "null", "worst", "meaning", "advice"],
      checks.map {
        [
          $0.name, $0.title, $0.value.map { "\($0)" } ?? "", "\($0.limit)", "\($0.isLeast)", "\($0.pass)",
          $0.null.map { "\($0)" } ?? "", $0.worst ?? "", $0.meaning, $0.advice,
        ]
      })
  }

  /// A line for each changed weight, in the base's order; only the head when no weights were compared.
  ///
  /// Columns: name, block, shape (`320x320`), relative_error, base_relative_error, norm_before, norm_after, difference.
  public var targetsCSV: String {
    Self.csv(
      [
        "name", "block", "shape", "relative_error", "base_relative_error", "norm_before", "norm_after", "difference",
      ],
      (weights?.targets ?? []).map {
        [
          $0.name, $0.block, $0.shape.map(String.init).joined(separator: "x"), "\($0.relativeError)",
          "\($0.baseRelativeError)", "\($0.normBefore)", "\($0.normAfter)", "\($0.difference)",
        ]
      })
  }

  /// A line for each pair of pictures, and for each picture of a harmless change.
  ///
  /// Columns: change (`after`, or the harmless change's name), prompt, negative, seed, strength, before, after,
  /// difference (paths, empty where the report has none), every metric by its name, greatest_difference (of 255),
  /// differing_share, verdict.
  public var picturesCSV: String {
    func numbers(_ likeness: Likeness) -> [String] {
      Metric.all.map { likeness[$0].map { "\($0)" } ?? "" }
        + ["\(likeness.greatestDifference)", "\(likeness.differingShare)"]
    }
    let pairs = pictures.map {
      ["after", $0.prompt, $0.negative ?? "", "\($0.seed)", "\($0.strength)", $0.before, $0.after, $0.difference]
        + numbers($0.likeness) + [$0.verdict]
    }
    let harmless = nulls.flatMap { null in
      null.rows.map {
        [null.name, $0.prompt, "", "\($0.seed)", "\($0.strength)", "", $0.picture, ""] + numbers($0.likeness) + [""]
      }
    }
    return Self.csv(
      ["change", "prompt", "negative", "seed", "strength", "before", "after", "difference"] + Metric.all.map(\.name)
        + ["greatest_difference", "differing_share", "verdict"], pairs + harmless)
  }

  private static func csv(_ head: [String], _ rows: [[String]]) -> String {
    ([head] + rows).map { $0.map { isNumber($0) ? $0 : $0.csvText }.joined(separator: ",") + "\n" }.joined()
  }

  /// Numbers may begin with a sign.
  private static func isNumber(_ field: String) -> Bool { Double(field) != nil }
}
