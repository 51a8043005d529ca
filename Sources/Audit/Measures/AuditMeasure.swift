/// What an audit measures and checks: its names, its limit, what its numbers mean, and how it is read off.
///
/// Measures of pictures are made of metrics, all others stand in the files beside this one and in `all`.
public struct AuditMeasure: Sendable {
  /// A number that was read off.
  struct Reading {
    var value: Double
    /// The same of a change that everybody accepts; `nil` where there is none.
    var null: Double?
    /// Where the worst case is.
    var worst: String?
  }

  /// What a number is read off from.
  enum Source: Sendable {
    case weights(@Sendable (WeightComparison, _ after: AuditSide) -> Reading)
    case probe(@Sendable (NoiseError) -> Reading)
    case latents(@Sendable (AuditPictures) -> Reading)
    case pictures(Metric)
  }

  /// In reports and on the command line: `weights.relative_error`.
  public let name: String
  /// For people: `relative error of the weights`.
  public let title: String
  /// As columns of overviews have it, where one has the measure.
  public let shortTitle: String?
  /// Whether larger values are better.
  public let isLeast: Bool
  /// What the value may be at most, or must be at least, unless somebody says otherwise.
  public let usualLimit: Double
  /// The word for a search by this measure: `probe`; `nil` for one that no search asks.
  public let searchName: String?
  let source: Source
  /// One sentence: what a value means, beside its limit.
  private let meaning: @Sendable (_ value: Double, _ limit: Double) -> String
  /// What to do when the limit is not kept, in words that need no program.
  public let advice: String

  init(
    _ name: String, title: String, shortTitle: String? = nil, isLeast: Bool = false, usualLimit: Double,
    searchName: String? = nil, advice: String, from source: Source,
    meaning: @escaping @Sendable (_ value: Double, _ limit: Double) -> String
  ) {
    (self.name, self.title, self.shortTitle, self.isLeast) = (name, title, shortTitle, isLeast)
    (self.usualLimit, self.searchName, self.advice) = (usualLimit, searchName, advice)
    (self.source, self.meaning) = (source, meaning)
  }

  /// One sentence for people: what a value means beside its limit.
  public func meaning(of value: Double, limit: Double) -> String { meaning(value, limit) }

  // MARK: All

  /// In the order of reports.
  public static let all: [AuditMeasure] = ofWeights + ofProbe + ofLatents + ofPictures

  /// Of what both sides add to the weights; every audit has them.
  public static let ofWeights: [AuditMeasure] = [
    .weightError, .worstBlock, .baseError, .scale, .lost, .added, .unplaced, .notFinite,
  ]
  /// Of what the denoiser predicts, where it is asked.
  public static let ofProbe: [AuditMeasure] = [.probeError, .effectError]
  /// Of what the pictures are made of, where there are some.
  public static let ofLatents: [AuditMeasure] = [.latentError]
  /// Of the pictures, where there are some: one for each metric.
  public static let ofPictures: [AuditMeasure] = Metric.all.map { AuditMeasure($0) }

  /// The measure of that name.
  public init?(named name: String) {
    guard let measure = Self.all.first(where: { $0.name == name }) else { return nil }
    self = measure
  }

  /// Of equal things; `nil` where no finite number is.
  var perfect: Double? { if case .pictures(let metric) = source { metric.perfect } else { 0 } }

  /// Whether latents must become pictures for it.
  public var needsDecoder: Bool { if case .pictures = source { true } else { false } }

  /// Whether it needs pictures, or what they are made of.
  public var isOfPictures: Bool {
    switch source {
    case .weights, .probe: false
    case .latents, .pictures: true
    }
  }
}

extension AuditMeasure: Hashable {
  /// Measures of the same name are the same: no two have one.
  public static func == (a: AuditMeasure, b: AuditMeasure) -> Bool { a.name == b.name }
  public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
