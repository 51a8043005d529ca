public import Images

/// A way to say in one number how alike two pictures are, and all that an audit and its reports need to know of it.
///
/// Each metric has a file of its own beside this one and a place in `all`, from which all others take it but for texts that name a few.
public struct Metric: Sendable {
  /// How many digits people get to read.
  public enum Format: Sendable {
    case decimals(Int32)
    /// Four decimals of a number that is 1 for equal pictures, and for no others: what rounds to 1 is told from it.
    case similarity
  }

  /// In tables, in JSON and on the command line, in small letters: `ms_ssim`.
  public let name: String
  /// For people: `MS-SSIM`.
  public let title: String
  /// `nil` for a pure number.
  public let unit: String?
  /// Whether larger numbers are for pictures that are more alike.
  public let isLarger: Bool
  /// Of equal pictures; `nil` where no finite number is.
  public let perfect: Double?
  /// What an audit wants at least, or allows at most, of the mean over its pictures.
  public let usualLimit: Double
  /// How a number of it is written for people.
  public let format: Format
  /// One sentence for people: what the numbers mean.
  public let meaning: String
  /// How to read the numbers, in a few words: `90 and more, no difference is seen`; `nil` where `meaning` says it all.
  public let scale: String?
  /// Whether a pair of pictures is judged by it, beside its limit.
  let isJudge: Bool
  /// The number for a pair of pictures.
  public let value: @Sendable (ImageComparison) -> Double

  /// - Parameters:
  ///   - isLarger: whether larger numbers are for pictures that are more alike.
  ///   - perfect: the number of equal pictures; `nil` where no finite number is.
  ///   - isJudge: whether it says of each pair if it is within the noise, beside its limit for the mean.
  public init(
    name: String, title: String, unit: String? = nil, isLarger: Bool = true, perfect: Double?, usualLimit: Double,
    format: Format, meaning: String, scale: String? = nil, isJudge: Bool = false,
    value: @escaping @Sendable (ImageComparison) -> Double
  ) {
    (self.name, self.title, self.unit, self.isLarger, self.perfect) = (name, title, unit, isLarger, perfect)
    (self.usualLimit, self.format, self.meaning, self.scale) = (usualLimit, format, meaning, scale)
    (self.isJudge, self.value) = (isJudge, value)
  }

  /// All metrics in the order of reports. The first is the one that stands for the others where there is room for one.
  public static let all: [Metric] = [
    .perceptualScore, .multiScaleSimilarity, .structuralSimilarity, .peakSignalToNoise,
  ]

  /// That which overviews tell.
  public static var main: Metric { all[0] }
}

extension Metric {
  /// The mean over several pairs.
  ///
  /// The infinite ratio of equal pictures leaves the others' mean as it is, unless all are equal.
  func mean(of likenesses: [Likeness]) -> Double {
    let values = likenesses.map { $0[self] }, others = values.filter { $0 != .infinity }
    return others.isEmpty ? values.first ?? .nan : others.reduce(0, +) / Double(others.count)
  }

  /// The place of the value that is farthest from alike; the first of several.
  func worst(of values: [Double]) -> Int? {
    values.indices.min { isLarger ? values[$0] < values[$1] : values[$0] > values[$1] }
  }

  /// What all but one in twenty of several values reach.
  func bound(of values: [Double]) -> Double? { values.reachedByMost(isLarger: isLarger) }
}

extension [Double] {
  /// What all but one in twenty of the values reach; `nil` where there are none.
  ///
  /// - Parameter isLarger: whether larger values are better.
  func reachedByMost(isLarger: Bool) -> Double? {
    let sorted = isLarger ? self.sorted() : self.sorted(by: >)
    return sorted.isEmpty ? nil : sorted[sorted.count / 20]
  }
}
