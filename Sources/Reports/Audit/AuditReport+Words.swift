import Audit
import Tensors

extension AuditResult {
  /// The verdict in one sentence for people.
  var summary: String {
    switch verdict {
    case .withinNoise: "The same: no farther apart than changes of precision that everybody accepts."
    case .visibleButSmall: "Nearly the same: the difference can be measured, and is small."
    case .different:
      if let first = failing.first {
        "Not the same: \(failing.count) of \(checks.count) checks fail, first of all the \(first.measure.title)."
      } else {
        "Worse than the earlier audit."
      }
    }
  }
}

extension AuditReason {
  /// A sentence for people, or two.
  ///
  /// - Parameter remedy: what to do about it.
  func text(_ remedy: String?) -> String {
    switch self {
    case .notFinite: "There are NaN or infinite numbers, so nothing was rendered."
    case .coarseFormat(let format, let ofBase, let ofEffect):
      "The checkpoint stores \(format) numbers without a scale: rounding alone moves the weights by "
        + "\(Numbers.percent(ofBase)) of their size, \(Numbers.short(ofEffect)) times the adapters' effect."
        + (remedy.map { " \($0)" } ?? "")
    case .strength(let scale): "The effect stands there at \(Numbers.short(scale)) times its strength."
    case .unplaced: "Targets have no place in the base" + (remedy.map { "; \($0)" } ?? "") + "."
    case .lost: "Some weights are not changed any more."
    case .blocks(let names):
      "Too much of the effect is another; most of what differs is in \(names.joined(separator: ", "))."
    case .worse(let count, let of, let first):
      "Worse than the earlier audit in \(count) of \(of) checks, first of all the \(first.title), against the earlier audit."
    }
  }
}
