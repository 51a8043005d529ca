import Baking
public import Checkpoints
import Kernels
public import Rendering

/// Whether what came after is still what was before: everything that is measured, resolved against the real files.
public struct AuditPlan: Sendable {
  /// What is being done, for those who wait; in the order of the work.
  public enum Progress: Sendable {
    /// Weights done, of all.
    case weights(Int, of: Int)
    case spectra
    /// Asking the denoiser, with weights of this name.
    case probing(String)
    /// Taking the steps of pictures.
    case pictures(AuditPictures.Series, Renderer.Progress)
    /// What the engine says of this is known from earlier audits: steps that are not taken.
    case reused(String, steps: Int)
    /// Making pictures of what all steps ended with.
    case decoding(Renderer.Progress)
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
  /// Where what the engine says of the base and of harmless changes is kept for other audits; `nil` for nowhere.
  public let cache: AuditCache?

  /// - Parameters:
  ///   - scenes: their strengths are those of adapters; a side that is a checkpoint has only the strength 1.
  ///   - rendering: `nil` to look at the weights only.
  ///   - cache: `nil` to ask the engine about everything. What is judged, before and after, is always rendered.
  public init(
    before: AuditSide, after: AuditSide, scenes: [AuditScene], rendering: AuditRendering?,
    limits: AuditLimits = AuditLimits(), threads: Int, cache: AuditCache? = nil
  ) {
    self.cache = cache
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
    let nulls = NullKind.kinds(for: rendering.precision, hasCodes: base.hasCodes).count
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
    let times = weights.times
    let costs = [
      AuditCost(of: try AuditSide([], base: base), loadSeconds: times.base),
      AuditCost(of: before, loadSeconds: times.base + times.before),
      AuditCost(of: after, loadSeconds: times.base + times.after),
    ]
    progress(.spectra)
    let structure = try AuditStructure(before, after, threads: threads)
    var noise: NoiseError?, pictures: AuditPictures?, reused: [String] = []
    // What is broken cannot be rendered.
    if let rendering, weights.entries.allSatisfy({ $0.notFiniteAfter == 0 }) {
      try Task.checkCancellation()
      (noise, pictures, reused) = try ask(AuditEngine(rendering, scenes: scenes, cache: cache), progress)
    }
    var result = AuditResult(
      plan: self, weights: weights, costs: costs, structure: structure, noise: noise, pictures: pictures)
    result.reused = reused
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

  // MARK: What the engine says

  /// One set of weights after the other, each for the probe and for pictures, and pictures of all that came of it.
  private func ask(
    _ engine: AuditEngine, _ progress: (Progress) -> Void
  ) throws -> (NoiseError, AuditPictures?, reused: [String]) {
    let shots = AuditShot.all(of: scenes)
    let kinds = NullKind.kinds(for: engine.rendering.precision, hasCodes: base.hasCodes)
    let largest = AuditShot.places(ofLargestStrengthIn: shots).map { shots[$0] }
    func tell(_ name: String, _ series: AuditPictures.Series, _ step: Renderer.Progress?) {
      progress(step.map { .pictures(series, $0) } ?? .probing(name))
    }
    var reused: [String] = []
    func note(_ name: String, _ run: AuditRun) {
      guard run.isReused else { return }
      reused.append(name)
      progress(.reused(name, steps: run.pictureCount * engine.rendering.request.steps))
    }
    let origin = try AuditRun(base: base, shots, isProbed: true, engine: engine) { tell("the base", .base, $0) }
    note("the base", origin)
    let old = try AuditRun(shots, isProbed: true, engine: engine, with: before.scaled) {
      tell("before", .before(strength: $0), $1)
    }
    let new = try AuditRun(shots, isProbed: true, engine: engine, with: after.scaled) {
      tell("after", .after(strength: $0), $1)
    }
    let nulls = try kinds.map { kind in
      let run = try AuditRun(
        largest, isProbed: true, null: kind, engine: engine, with: { kind.weights(of: before.scaled(by: $0)) },
        isKept: true
      ) { tell(kind.rawValue, .null(name: kind.rawValue), $1) }
      note(kind.rawValue, run)
      return (kind: kind, run: run)
    }
    let noise = NoiseError(
      engine.rendering.probe(scenes), base: origin.predictions, before: old.predictions, after: new.predictions,
      nulls: nulls.map(\.run.predictions))
    guard !shots.isEmpty else { return (noise, nil, reused) }
    let pictures = try AuditPictures(shots, base: origin, before: old, after: new, nulls: nulls, engine: engine) {
      progress(.decoding($0))
    }
    return (noise, pictures, reused)
  }
}
