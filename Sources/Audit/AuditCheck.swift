/// A measure with its limit, and whether it is kept.
public struct AuditCheck: Sendable {
  public let measure: AuditMeasure
  public let value: Double
  public let limit: Double
  /// The same measure of a change that everybody accepts; `nil` where there is none.
  public let null: Double?
  /// Where the worst case is.
  public let worst: String?

  init(_ measure: AuditMeasure, _ value: Double, limit: Double, null: Double? = nil, worst: String? = nil) {
    (self.measure, self.value, self.limit, self.null, self.worst) = (measure, value, limit, null, worst)
  }

  /// Within the limit, or no worse than a change that everybody accepts.
  public var passes: Bool { keeps(limit) || isWithinNoise }

  /// No worse than a change that everybody accepts.
  public var isWithinNoise: Bool { null.map(keeps) ?? false }

  /// Written so that NaN keeps no limit.
  private func keeps(_ bound: Double) -> Bool { measure.isLeast ? value >= bound : value <= bound }
}

/// What each measure may be at most, or must be at least.
public struct AuditLimits: Sendable {
  private var values = Self.usual

  public init() {}

  /// What seems sensible after audits of the example model's adapters: cut to half of their bytes, five of six keep all
  /// limits and look the same; cut to a twentieth, none does; nor does a bake in an 8-bit format without scales.
  private static let usual: [AuditMeasure: Double] = [
    .weightError: 0.3, .worstBlock: 0.6, .baseError: 0.05, .scale: 0.1, .lost: 0.15, .added: 0.05, .unplaced: 0,
    .finite: 0, .probeError: 0.1, .effectError: 0.2, .perceptualScore: 60, .multiScaleSimilarity: 0.95,
    .structuralSimilarity: 0.9, .peakSignalToNoise: 25,
  ]

  public subscript(measure: AuditMeasure) -> Double {
    get { values[measure]! }
    set { values[measure] = newValue }
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
