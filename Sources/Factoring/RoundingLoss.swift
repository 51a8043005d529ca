package import Tensors

/// What rounding to a number format took of a target's delta.
///
/// Half precision has no numbers below 2⁻²⁴, so that factors which a strength has made small may come out as zeros. A file in
/// which most of a delta is gone is not the adapter that was asked for.
package struct RoundingLoss: Sendable {
  package let target: String
  package let dtype: DType
  /// The squared norm of what was to be stored.
  package let kept: Double
  /// The squared norm of the difference between that and what a reader gets.
  package let lost: Double

  package init(target: String, dtype: DType, kept: Double, lost: Double) {
    (self.target, self.dtype, self.kept, self.lost) = (target, dtype, kept, lost)
  }

  /// Refuses an output in which more than half of a delta is lost, unless that is a hundredth of the whole adapter or less.
  ///
  /// - Throws: `FactoringError.lost`.
  package static func check(_ losses: [RoundingLoss], path: String) throws(FactoringError) {
    let whole = losses.reduce(0) { $0 + $1.kept }
    let most = losses.filter { $0.kept > 0 && !($0.lost <= 0.25 * $0.kept) && $0.kept >= 1e-4 * whole }
    guard let worst = most.max(by: { $0.lost < $1.lost }) else { return }
    throw FactoringError(
      .lost(
        target: worst.target, dtype: worst.dtype, share: min(1, (worst.lost / worst.kept).squareRoot()),
        count: most.count),
      path: path)
  }
}
