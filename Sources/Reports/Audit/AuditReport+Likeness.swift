public import Audit

extension AuditReport {
  /// How alike two pictures are.
  public struct Likeness: Sendable {
    /// By the metrics' names: one that the report's version did not know has none.
    private var values: [String: Double]
    /// In levels of 255.
    public var greatestDifference: Int
    /// The share of pixels that differ at all.
    public var differingShare: Double

    /// - Parameter values: by the metrics' names; infinite for equal pictures where a metric has no finite number.
    public init(values: [String: Double], greatestDifference: Int, differingShare: Double) {
      (self.values, self.greatestDifference, self.differingShare) = (values, greatestDifference, differingShare)
    }

    /// What the metric says; `nil` where the report does not have it.
    public subscript(metric: Metric) -> Double? { values[metric.name] }
  }
}

/// In JSON the metrics stand among the other fields: `{"greatest_difference":3,"ms_ssim":0.98,…}`.
extension AuditReport.Likeness: Codable {
  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }

    static let greatestDifference = Key("greatestDifference")
    static let differingShare = Key("differingShare")
  }

  /// Writes each metric under its name, beside the two other fields.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    for (name, value) in values { try container.encode(value, forKey: Key(name)) }
    try container.encode(greatestDifference, forKey: .greatestDifference)
    try container.encode(differingShare, forKey: .differingShare)
  }

  /// Reads the metrics that this version knows, and passes over others.
  ///
  /// - Throws: `DecodingError` where one of the two other fields is missing or a value is no number.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    let known = try Metric.all.compactMap { metric in
      try container.decodeIfPresent(Double.self, forKey: Key(metric.name)).map { (metric.name, $0) }
    }
    self.init(
      values: Dictionary(uniqueKeysWithValues: known),
      greatestDifference: try container.decode(Int.self, forKey: .greatestDifference),
      differingShare: try container.decode(Double.self, forKey: .differingShare))
  }
}
