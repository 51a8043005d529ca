public import Images
public import Rendering

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
  private let latents: [[Float]]
  private let baseLatents: [[Float]]
  private let rendering: AuditRendering

  /// - Parameters:
  ///   - scenes: at least one.
  ///   - progress: told what is being drawn.
  /// - Throws: what the engine throws.
  public init(
    of original: AuditSide, scenes: [AuditScene], rendering: AuditRendering,
    progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws {
    precondition(!scenes.isEmpty, "pictures need scenes")
    (shots, self.rendering) = (AuditShot.all(of: scenes), rendering)
    baseLatents = try rendering.baseLatents(of: shots, original.base, progress: progress)
    let drawn = try rendering.pictures(of: shots, with: original.scaled) { try progress($1) }
    (images, latents) = (drawn.images, drawn.latents)
  }

  /// - Throws: what the engine throws, and `ImageError.tooSmall` for pictures that cannot be compared.
  public func outcome(
    of candidate: AuditSide, progress: (Renderer.Progress) throws -> Void = { _ in }
  ) throws -> Outcome {
    let drawn = try rendering.pictures(of: shots, with: candidate.scaled) { try progress($1) }
    let errors = shots.indices.map { LatentError(latents[$0], drawn.latents[$0], base: baseLatents[$0]) }
    let likenesses = try zip(images, drawn.images).map { Likeness(try ImageComparison($0, $1)) }
    return Outcome(drawn.images, LatentError.mean(errors), likenesses)
  }
}
