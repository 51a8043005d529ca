import Factoring
import Tensors

/// What a report says of the error that ranks were chosen by.
struct WeightedErrorLines {
  let lines: [String]

  /// - Parameters:
  ///   - weighing: its name.
  ///   - bound: no choice of ranks of the same size has a smaller error.
  init(_ weighing: String, _ error: Double, bound: Double?) {
    let isByPictures = weighing == Weighing.pictures.rawValue
    func row(_ label: String, _ value: String) -> String { "  " + label.padded(to: 16) + value }
    var lines = [
      row(
        "weighted error",
        Numbers.short(error)
          + "   before rounding, \(isByPictures ? "by what pictures feel" : "relative to the base's weights")")
    ]
    if let bound {
      lines.append(
        row("lower bound", Numbers.short(bound) + "   no choice of ranks of this size has a smaller weighted error"))
    }
    if isByPictures {
      lines.append(
        "  The error in the weights may grow while pictures get better: what is cut is what they feel least.")
    }
    self.lines = lines
  }
}
