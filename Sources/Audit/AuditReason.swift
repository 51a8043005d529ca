/// A likely cause of an audit's failure.
public enum AuditReason: Sendable, Equatable {
  /// There are NaN or infinite numbers, so nothing was rendered.
  case notFinite
  /// The checkpoint after stores numbers of 8 bits without a scale: rounding alone moves the weights by a share of the base, and
  /// of the effect.
  case coarseFormat(String, ofBase: Double, ofEffect: Double)
  /// The effect stands there at another strength.
  case strength(Double)
  case unplaced
  case lost
  /// Where most of what differs is.
  case blocks([String])
  /// Worse than an earlier audit, first of all in one measure.
  case worse(count: Int, of: Int, first: AuditMeasure)
}

extension AuditResult {
  /// The likeliest first; empty when nothing fails.
  public var reasons: [AuditReason] {
    var reasons = failing.isEmpty ? [] : ownReasons
    if let earlier, let first = earlier.worse.first {
      reasons.append(.worse(count: earlier.worse.count, of: earlier.checks.count, first: first.check.measure))
    }
    return reasons
  }

  private var ownReasons: [AuditReason] {
    let failed = Set(failing.map(\.measure)), total = weights.total
    var reasons: [AuditReason] = []
    if failed.contains(.notFinite) { reasons.append(.notFinite) }
    if let format = coarseFormat, total.baseRelativeError > 0.005 {
      reasons.append(.coarseFormat(format, ofBase: total.baseRelativeError, ofEffect: total.relativeError))
    }
    if failed.contains(.scale), reasons.isEmpty { reasons.append(.strength(total.scale)) }
    if failed.contains(.unplaced) { reasons.append(.unplaced) }
    if failed.contains(.lost) { reasons.append(.lost) }
    if reasons.isEmpty, total.difference > 0 {
      reasons.append(
        .blocks(
          weights.blocks.filter { $0.total.energyBefore > 0 }
            .sorted { $0.total.difference > $1.total.difference }.prefix(3).map(\.name)))
    }
    return reasons
  }
}
