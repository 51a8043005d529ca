import Tensors

extension AuditPage {
  /// The targets as a table that can be sorted.
  struct TargetTable {
    var count: Int
    var rows: [Row]

    /// Numbers twice: to read, and to sort by.
    struct Row {
      var name: String
      var block: String
      var shape: String
      var elements: Int
      var relative: String
      var relativeKey: String
      var step: Int
      var ofBase: String
      var ofBaseKey: String
      var normBefore: String
      var normBeforeKey: String
      var normAfter: String
      var normAfterKey: String
      var gap: String
      var gapKey: String

      init(_ row: AuditReport.WeightRow) {
        (name, block) = (row.name, row.block)
        shape = row.shape.map(String.init).joined(separator: " × ")
        elements = row.shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
        (relative, relativeKey) = (percent(row.relativeError), key(row.relativeError))
        step = HeatMap.step(row.relativeError)
        (ofBase, ofBaseKey) = (percent(row.baseRelativeError), key(row.baseRelativeError))
        (normBefore, normBeforeKey) = (number(row.normBefore), key(row.normBefore))
        (normAfter, normAfterKey) = (number(row.normAfter), key(row.normAfter))
        (gap, gapKey) = (number(row.difference), key(row.difference))
      }
    }

    init(_ weights: AuditReport.Weights) {
      count = weights.targets.count
      rows = weights.targets.map(Row.init)
    }
  }

  /// Relative errors by block and weight.
  struct HeatPart {
    var totals: [Total]
    var map: String
    var legend: [Step]
    var blocks: [TargetTable.Row]

    struct Total {
      var term: String
      var figure: String
      var explanation: String
    }

    struct Step {
      var index: Int
      var span: String
    }

    init(_ weights: AuditReport.Weights) {
      totals = [
        Total(
          term: "relative error", figure: percent(weights.relativeError),
          explanation: "of what before adds to the base; \(percent(weights.null)) by \(weights.nullName)"),
        Total(
          term: "of the base", figure: percent(weights.baseRelativeError),
          explanation: "the same difference against the base's weights"),
        Total(
          term: "scale", figure: number(weights.scale),
          explanation: "the strength at which before stands in after; 1 is the same"),
      ]
      if let cosine = weights.cosine {
        totals.append(
          Total(term: "cosine", figure: number(cosine), explanation: "1 is the same direction, 0 unrelated"))
      }
      var order: [String] = [], groups: [String: [AuditReport.WeightRow]] = [:]
      for target in weights.targets {
        if groups[target.block] == nil { order.append(target.block) }
        groups[target.block, default: []].append(target)
      }
      map =
        HeatMap(
          title: "Relative error of each weight, by block",
          rows: order.map { block in
            HeatMap.Row(
              name: block, cells: groups[block]!.map { ($0.relativeError, "\($0.name): \(percent($0.relativeError))") })
          }
        ).svg
      let names = HeatMap.limits.map { Numbers.short(100 * $0) + " %" }
      legend = (0...names.count).map { index in
        let span =
          index == 0
          ? "below \(names[0])" : index == names.count ? "\(names[index - 1]) and more" : "to \(names[index])"
        return Step(index: index, span: span)
      }
      blocks = weights.blocks.map(TargetTable.Row.init)
    }
  }

  /// A number as scripts read it.
  private static func key(_ value: Double) -> String {
    value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : "\(value)"
  }
}
