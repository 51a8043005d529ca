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
    let shots = AuditShot.all(of: scenes), engine = AuditEngine(rendering, scenes: scenes)
    switch measure.source {
    case .weights: preconditionFailure("\(measure.name) needs no gauge")
    case .probe(let read):
      let (base, before) = (
        try AuditRun(base: original.base, [], isProbed: true, engine: engine).predictions,
        try AuditRun([], isProbed: true, engine: engine, with: original.scaled).predictions
      )
      ask = { candidate in
        let after = try AuditRun([], isProbed: true, engine: engine, with: candidate.scaled).predictions
        return read(NoiseError(rendering.probe(scenes), base: base, before: before, after: after, nulls: [])).value
      }
    case .latents:
      let base = try AuditRun(base: original.base, shots, engine: engine)
      let before = try AuditRun(shots, engine: engine, with: original.scaled)
      let ends = shots.map { (before: before.latents(of: $0), base: base.latents(of: $0)) }
      ask = { candidate in
        let after = try AuditRun(shots, engine: engine, with: candidate.scaled)
        return LatentError.mean(
          zip(shots, ends).map { LatentError($1.before, after.latents(of: $0), base: $1.base) })
      }
    case .pictures(let metric):
      @Sendable func pictures(_ side: AuditSide) throws -> [RGBImage] {
        try engine.pictures(of: [(AuditRun(shots, engine: engine, with: side.scaled), shots)])[0]
      }
      let before = try pictures(original)
      ask = { candidate in
        let after = try pictures(candidate)
        return metric.mean(of: try zip(before, after).map { Likeness(try ImageComparison($0, $1), by: [metric]) })
      }
    }
  }

  /// The measure as an audit of original and candidate would have it.
  ///
  /// - Throws: what the engine throws.
  public func value(of candidate: AuditSide) throws -> Double { try ask(candidate) }
}
