/// A measure with its limit, and whether it is kept.
public struct AuditCheck: Sendable {
  /// What was measured.
  public let measure: AuditMeasure
  /// In the measure's unit; infinite for an error relative to nothing, and for equal pictures in decibels.
  public let value: Double
  /// What `value` may be at most, or at least where larger is better.
  public let limit: Double
  /// The same measure of a change that everybody accepts; `nil` where there is none.
  public let null: Double?
  /// Where the worst case is.
  public let worst: String?

  init(_ measure: AuditMeasure, _ value: Double, limit: Double, null: Double? = nil, worst: String? = nil) {
    (self.measure, self.value, self.limit, self.null, self.worst) = (measure, value, limit, null, worst)
  }

  init(_ measure: AuditMeasure, _ reading: AuditMeasure.Reading, limit: Double) {
    self.init(measure, reading.value, limit: limit, null: reading.null, worst: reading.worst)
  }

  /// Within the limit, or no worse than a change that everybody accepts.
  public var passes: Bool { keeps(limit) || isWithinNoise }

  /// No worse than a change that everybody accepts.
  public var isWithinNoise: Bool { null.map { ($0.isFinite || measure.isLeast) && keeps($0) } ?? false }

  private func keeps(_ bound: Double) -> Bool { measure.keeps(bound, value) }
}

extension AuditMeasure {
  /// Whether a value is no worse than a limit. Written so that NaN keeps none.
  public func keeps(_ limit: Double, _ value: Double) -> Bool { isLeast ? value >= limit : value <= limit }
}

/// What each measure may be at most, or must be at least.
///
/// The usual limits seem sensible after audits of the example model's adapters: cut to half of their bytes, five of six
/// keep all and look the same; cut to a twentieth, none does; nor does a bake in an 8-bit format without scales.
public struct AuditLimits: Sendable {
  private var changed: [AuditMeasure: Double] = [:]

  /// Every measure has its usual limit.
  public init() {}

  /// The measure's limit: the usual one until another is set.
  public subscript(measure: AuditMeasure) -> Double {
    get { changed[measure] ?? measure.usualLimit }
    set { changed[measure] = newValue }
  }
}

/// What an audit says in the end.
public enum AuditVerdict: String, Sendable {
  /// No farther apart than changes of precision that everybody accepts.
  case withinNoise = "within noise"
  case visibleButSmall = "visible but small"
  /// A check fails.
  case different
}
