import Images
import Rendering

/// One measure of an audit, asked about many candidates for the same original: the original's part is done once.
public struct AuditGauge: Sendable {
  /// What is asked of each candidate: a measure of the probe, of latents or of pictures.
  public let measure: AuditMeasure
  private let ask: @Sendable (AuditSide) throws -> Double

  /// - Parameters:
  ///   - measure: of the probe, of latents or of pictures.
  ///   - scenes: at least one for a measure of latents or pictures.
  /// - Throws: what the engine throws.
  public init(_ measure: AuditMeasure, of original: AuditSide, scenes: [AuditScene], rendering: AuditRendering) throws {
    precondition(!measure.isOfPictures || !scenes.isEmpty, "pictures need scenes")
    self.measure = measure
    let shots = AuditShot.all(of: scenes)
    switch measure.source {
    case .weights: preconditionFailure("\(measure.name) needs no gauge")
    case .probe(let read):
      let probe = rendering.probe(scenes)
      let base = try probe.predictions(with: original.base), before = try probe.predictions(with: original)
      ask = { candidate in
        let after = try probe.predictions(with: candidate)
        return read(NoiseError(probe, base: base, before: before, after: after, nulls: [])).value
      }
    case .latents:
      let base = try rendering.baseLatents(of: shots, original.base)
      let before = try rendering.latents(of: shots, with: original.scaled)
      ask = { candidate in
        let after = try rendering.latents(of: shots, with: candidate.scaled)
        return LatentError.mean(shots.indices.map { LatentError(before[$0], after[$0], base: base[$0]) })
      }
    case .pictures(let metric):
      let before = try rendering.pictures(of: shots, with: original.scaled).images
      ask = { candidate in
        let after = try rendering.pictures(of: shots, with: candidate.scaled).images
        return metric.mean(of: try zip(before, after).map { Likeness(try ImageComparison($0, $1), by: [metric]) })
      }
    }
  }

  /// The measure as an audit of original and candidate would have it.
  ///
  /// - Throws: what the engine throws.
  public func value(of candidate: AuditSide) throws -> Double { try ask(candidate) }
}
