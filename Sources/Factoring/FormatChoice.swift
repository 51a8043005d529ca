public import Tensors

/// One byte a number at twice the rank, or two bytes at half: which of them a size is better spent on, by the errors that can be
/// foretold.
public struct FormatChoice: Sendable {
  /// A number format with what it would come to.
  public struct Candidate: Sendable {
    /// Of all factors.
    public let dtype: DType
    /// The size of the file.
    public let bytes: Int
    /// √(lost + ε²·kept), relative, with ε of the format, in the units that ranks are chosen by.
    public let relativeError: Double
  }

  /// What is written.
  public let chosen: Candidate
  /// What is not; `nil` where only one format can be written.
  public let other: Candidate?
  /// Why there is only one.
  public let reason: Reason?

  /// Why a format cannot be written.
  public enum Reason: Sendable {
    /// The dialect has no place for the scale that 8-bit numbers need.
    case noScale
    /// The rule cannot be kept in it.
    case rule(DType)
  }
}

extension DecomposedPlan {
  /// The format for which the plan's rule foretells the smaller error; the smaller file where the rule limits the error.
  ///
  /// - Parameter rule: another rule than the recipe's; it looks at the whole file.
  /// - Returns: also the same decomposition, stored in that format.
  /// - Throws: `FactoringError` when the rule can be met in none of them.
  public func choosingFormat(rule: RankRule? = nil) throws -> (plan: DecomposedPlan, choice: FormatChoice) {
    let rule = rule ?? plan.recipe.rule
    precondition(rule.looksAtWholeFile, "a rule that leaves nothing to choose by")
    var found: [(plan: DecomposedPlan, candidate: FormatChoice.Candidate)] = []
    let formats = inEachFormat
    var fault: (any Error)?, reason: FormatChoice.Reason? = formats.count == 1 ? .noScale : nil
    for stored in formats {
      let dtype = stored.plan.recipe.dtype!
      do {
        let allocation = try stored.allocation(rule: rule)
        found.append(
          (
            stored,
            .init(
              dtype: dtype, bytes: allocation.bytes,
              relativeError: dtype.predicted(cut: allocation.weighted?.relativeError ?? allocation.relativeError))
          ))
      } catch {
        fault = fault ?? error
        reason = .rule(dtype)
      }
    }
    guard let best = found.indices.min(by: { found[$0].candidate.isBetter(than: found[$1].candidate, under: rule) })
    else { throw fault! }
    let other = found.indices.first { $0 != best }.map { found[$0].candidate }
    return (found[best].plan, FormatChoice(chosen: found[best].candidate, other: other, reason: reason))
  }

  /// The same decomposition, to be stored in each format that may be chosen: one of two bytes, and one of one byte where the
  /// dialect has a place for the scale that its numbers need.
  public var inEachFormat: [DecomposedPlan] {
    // Of a file in bf16 nobody knows whether its numbers are too large for f16.
    let wide: DType = plan.targets.allSatisfy { $0.dtype == .bf16 } ? .bf16 : .f16
    let hasScales = plan.targets.allSatisfy { $0.names.alpha != nil }
    return ([wide] + (hasScales ? [.f8e4m3] : [])).map { storing(as: $0) }
  }

  /// The same decomposition, to be stored in another number format.
  func storing(as dtype: DType) -> DecomposedPlan {
    DecomposedPlan(plan.storing(as: dtype), weighing, targets)
  }
}

extension FormatChoice.Candidate {
  fileprivate func isBetter(than other: Self, under rule: RankRule) -> Bool {
    if case .maxError = rule { return bytes < other.bytes }
    return relativeError < other.relativeError
  }
}

extension DType {
  /// The relative error of a product whose factors are rounded once, as it was measured for f16 and e4m3: 0.59 units.
  private var roundingOfProducts: Double { 0.59 * (unitRoundoff ?? 0) }

  /// - Parameter cut: the relative error before rounding.
  fileprivate func predicted(cut: Double) -> Double {
    let lost = cut * cut, rounding = roundingOfProducts * roundingOfProducts
    return (lost + rounding * max(0, 1 - lost)).squareRoot()
  }
}
