public import Checkpoints
import Kernels
public import Rendering

/// Whether what came after is still what was before: everything that is measured, resolved against the real files.
public struct AuditPlan: Sendable {
  /// What is being done, for those who wait; in the order of the work.
  public enum Progress: Sendable {
    /// Weights done, of all.
    case weights(Int, of: Int)
    /// Reading the weights of the base alone, before and after, to take the time.
    case costs
    case spectra
    /// Asking the denoiser, with weights of this name.
    case probing(String)
    case pictures(AuditPictures.Series, Renderer.Progress)
  }

  /// What the other side is compared with.
  public let before: AuditSide
  /// What is checked.
  public let after: AuditSide
  /// What is rendered; none for an audit without pictures.
  public let scenes: [AuditScene]
  /// `nil` where the denoiser is not asked.
  public let rendering: AuditRendering?
  /// What each measure may be at most, or must be at least.
  public let limits: AuditLimits
  /// How many threads work on weights and spectra; rendering has a number of its own.
  public let threads: Int

  /// - Parameters:
  ///   - scenes: their strengths are those of adapters; a side that is a checkpoint has only the strength 1.
  ///   - rendering: `nil` to look at the weights only.
  public init(
    before: AuditSide, after: AuditSide, scenes: [AuditScene], rendering: AuditRendering?,
    limits: AuditLimits = AuditLimits(), threads: Int
  ) {
    let sweeps = before.hasStrength && after.hasStrength
    (self.before, self.after, self.rendering, self.limits, self.threads) = (before, after, rendering, limits, threads)
    self.scenes = scenes.map { scene in
      var scene = scene
      scene.strengths = sweeps ? scene.strengths : [1]
      return scene
    }
  }

  /// What both sides are compared with, weight by weight.
  public var base: Checkpoint { before.base }

  /// How many weights are compared, for progress.
  public var weightCount: Int { WeightComparison.count(in: base) }

  /// The steps of all pictures, for progress.
  public var stepCount: Int {
    guard let rendering else { return 0 }
    let nulls = NullKind.kinds(for: rendering.precision).count
    return rendering.request.steps * scenes.reduce(0) { $0 + 1 + 2 * $1.strengths.count + nulls }
  }

  /// What the user should know beside the result.
  public var warnings: [String] { base.warnings + before.warnings + after.warnings }

  /// Measures everything.
  ///
  /// `progress` is called on threads of the work.
  ///
  /// - Throws: `AuditError`, and what the rooms below throw; broken numbers in what came after are no error but a finding.
  public func run(progress: @escaping @Sendable (Progress) -> Void = { _ in }) throws -> AuditResult {
    let start = ContinuousClock.now
    let weights = try compareWeights(progress)
    try Task.checkCancellation()
    progress(.costs)
    let costs = try [AuditSide([], base: base), before, after].map { try AuditCost(of: $0) }
    progress(.spectra)
    let structure = try AuditStructure(before, after, threads: threads)
    var noise: NoiseError?, pictures: AuditPictures?
    // What is broken cannot be rendered.
    let isFinite = weights.entries.allSatisfy { $0.notFiniteAfter == 0 }
    if let rendering, isFinite {
      try Task.checkCancellation()
      noise = try probe(rendering, progress)
      try Task.checkCancellation()
      if !scenes.isEmpty {
        pictures = try AuditPictures(
          scenes, before: before, after: after, rendering: rendering,
          nulls: NullKind.kinds(for: rendering.precision)
        ) { progress(.pictures($0, $1)) }
      }
    }
    var result = AuditResult(
      plan: self, weights: weights, costs: costs, structure: structure, noise: noise, pictures: pictures)
    result.seconds = (ContinuousClock.now - start) / .seconds(1)
    return result
  }

  private func compareWeights(_ progress: @escaping @Sendable (Progress) -> Void) throws -> WeightComparison {
    let total = weightCount
    let weights = try WeightComparison(before: before, after: after, threads: threads) {
      progress(.weights($0, of: total))
    }
    let path = before.checkpoint?.path ?? before.fits.first?.adapter.path ?? base.path
    if let broken = weights.entries.first(where: { $0.notFiniteBefore > 0 }) {
      throw AuditError(.brokenBefore(weight: broken.name.path, count: broken.notFiniteBefore), path: path)
    }
    guard weights.total.energyBefore > 0 else { throw AuditError(.noEffect, path: path) }
    return weights
  }

  // MARK: What the denoiser says

  private func probe(_ rendering: AuditRendering, _ progress: (Progress) -> Void) throws -> NoiseError {
    func predictions(
      _ name: String, _ weights: some WeightSource, _ rendering: AuditRendering
    ) throws -> [[[Float]]] {
      progress(.probing(name))
      return try rendering.probe(scenes).predictions(with: weights)
    }
    return NoiseError(
      rendering.probe(scenes), base: try predictions("the base", base, rendering),
      before: try predictions("before", before, rendering), after: try predictions("after", after, rendering),
      nulls: try NullKind.kinds(for: rendering.precision).map {
        try predictions($0.rawValue, $0.weights(of: before), rendering.with($0))
      })
  }
}
