public import Images

/// Pictures of an original, and how near several candidates come to them: the original's are drawn once.
public struct PictureTrial: Sendable {
  /// What a candidate draws.
  public struct Outcome: Sendable {
    /// In the order of the shots.
    public let images: [RGBImage]
    /// As `AuditMeasure.latentError`: 0 is the original, 1 as far from it as the base.
    public let latentError: Double
    private let likenesses: [Likeness]

    fileprivate init(_ images: [RGBImage], _ latentError: Double, _ likenesses: [Likeness]) {
      (self.images, self.latentError, self.likenesses) = (images, latentError, likenesses)
    }

    /// The mean over all pictures.
    public func mean(of metric: Metric) -> Double { metric.mean(of: likenesses) }
  }

  /// What is drawn.
  public let shots: [AuditShot]
  /// The original's, in the order of the shots.
  public let images: [RGBImage]
  /// What each shot ends with, by the original and by the base alone.
  private let ends: [(original: [Float], base: [Float])]
  private let engine: AuditEngine

  /// - Parameter scenes: at least one.
  /// - Throws: what the engine throws.
  public init(of original: AuditSide, scenes: [AuditScene], rendering: AuditRendering) throws {
    precondition(!scenes.isEmpty, "pictures need scenes")
    let shots = AuditShot.all(of: scenes), engine = AuditEngine(rendering, scenes: scenes)
    let base = try AuditRun(base: original.base, shots, engine: engine)
    let drawn = try AuditRun(shots, engine: engine, with: original.scaled)
    (self.shots, self.engine) = (shots, engine)
    images = try engine.pictures(of: [(drawn, shots)])[0]
    ends = shots.map { (drawn.latents(of: $0), base.latents(of: $0)) }
  }

  /// - Throws: what the engine throws, and `ImageError.tooSmall` for pictures that cannot be compared.
  public func outcome(of candidate: AuditSide) throws -> Outcome {
    let drawn = try AuditRun(shots, engine: engine, with: candidate.scaled)
    let images = try engine.pictures(of: [(drawn, shots)])[0]
    let errors = zip(shots, ends).map { LatentError($1.original, drawn.latents(of: $0), base: $1.base) }
    let likenesses = try zip(self.images, images).map { Likeness(try ImageComparison($0, $1)) }
    return Outcome(images, LatentError.mean(errors), likenesses)
  }
}
