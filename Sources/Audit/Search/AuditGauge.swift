import Images
import Rendering

/// One measure of an audit, asked about many candidates for the same original: the original's part is done once.
public struct AuditGauge: Sendable {
  /// What is asked of each candidate: a measure of the probe or of pictures.
  public let measure: AuditMeasure
  private let scenes: [AuditScene]
  private let rendering: AuditRendering
  /// Predictions of the base and of the original, for measures of the probe.
  private let predictions: (base: [[[Float]]], original: [[[Float]]])?
  /// The original's pictures, for measures of pictures.
  private let pictures: [RGBImage]

  /// - Parameters:
  ///   - measure: of the probe or of pictures.
  ///   - scenes: at least one for a measure of pictures.
  /// - Throws: what the engine throws.
  public init(_ measure: AuditMeasure, of original: AuditSide, scenes: [AuditScene], rendering: AuditRendering) throws {
    (self.measure, self.scenes, self.rendering) = (measure, scenes, rendering)
    switch measure.source {
    case .weights: preconditionFailure("\(measure.name) needs no gauge")
    case .probe:
      let probe = rendering.probe(scenes)
      predictions = (try probe.predictions(with: original.base), try probe.predictions(with: original))
      pictures = []
    case .pictures:
      precondition(!scenes.isEmpty, "pictures need scenes")
      predictions = nil
      pictures = try rendering.pictures(of: AuditShot.all(of: scenes), with: original.scaled) { _, _ in }.images
    }
  }

  /// The measure as an audit of original and candidate would have it.
  ///
  /// - Throws: what the engine throws.
  public func value(of candidate: AuditSide) throws -> Double {
    switch measure.source {
    case .weights: preconditionFailure("\(measure.name) needs no gauge")
    case .probe(let read):
      let probe = rendering.probe(scenes)
      return read(
        NoiseError(
          probe, base: predictions!.base, before: predictions!.original,
          after: try probe.predictions(with: candidate), nulls: [])
      ).value
    case .pictures(let metric):
      let others = try rendering.pictures(of: AuditShot.all(of: scenes), with: candidate.scaled) { _, _ in }.images
      return metric.mean(
        of: try zip(pictures, others).map { Likeness(try ImageComparison($0, $1), by: [metric]) })
    }
  }
}
