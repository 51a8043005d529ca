import Images
import Rendering

/// One measure of an audit, asked about many candidates for the same original: the original's part is done once.
public struct AuditGauge: Sendable {
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
    if AuditMeasure.ofProbe.contains(measure) {
      let probe = rendering.probe(scenes)
      predictions = (try probe.predictions(with: original.base), try probe.predictions(with: original))
      pictures = []
    } else {
      precondition(AuditMeasure.ofPictures.contains(measure), "\(measure.rawValue) needs no gauge")
      precondition(!scenes.isEmpty, "pictures need scenes")
      predictions = nil
      pictures = try rendering.pictures(of: AuditShot.all(of: scenes), with: original.scaled) { _, _ in }.images
    }
  }

  /// The measure as an audit of original and candidate would have it.
  ///
  /// - Throws: what the engine throws.
  public func value(of candidate: AuditSide) throws -> Double {
    if let predictions {
      let probe = rendering.probe(scenes)
      let error = NoiseError(
        probe, base: predictions.base, before: predictions.original, after: try probe.predictions(with: candidate),
        nulls: [])
      return measure == .probeError ? error.relativeError : error.effectError
    }
    let others = try rendering.pictures(of: AuditShot.all(of: scenes), with: candidate.scaled) { _, _ in }.images
    return AuditPictures.mean(measure, of: try zip(pictures, others).map { try ImageComparison($0, $1) })
  }
}

/// The smallest number of `range` that passes, found by bisection: right when everything above a number that passes
/// passes too.
///
/// - Parameter passes: asked about the largest first, and then about ⌈log₂⌉ of the count of numbers.
/// - Returns: `nil` when not even the largest passes.
public func smallestPassing(
  in range: ClosedRange<Int>, _ passes: (Int) throws -> Bool
) rethrows -> Int? {
  guard try passes(range.upperBound) else { return nil }
  var (low, high) = (range.lowerBound, range.upperBound)
  while low < high {
    let middle = low + (high - low) / 2
    if try passes(middle) { high = middle } else { low = middle + 1 }
  }
  return high
}
