public import Images

/// How alike two pictures are, by every metric.
public struct Likeness: Sendable, Equatable {
  private let values: [String: Double]
  /// The greatest difference of any channel, in levels of 255.
  public let greatestDifference: Int
  /// The share of pixels that differ at all.
  public let differingShare: Double

  /// - Parameter metrics: those to compute. No others can be asked for.
  public init(_ comparison: ImageComparison, by metrics: [Metric] = Metric.all) {
    values = Dictionary(uniqueKeysWithValues: metrics.map { ($0.name, $0.value(comparison)) })
    (greatestDifference, differingShare) = (comparison.greatestDifference, comparison.differingShare)
  }

  /// - Precondition: the metric is one of those that were asked for.
  public subscript(metric: Metric) -> Double {
    guard let value = values[metric.name] else { preconditionFailure("\(metric.name) was not measured") }
    return value
  }
}
