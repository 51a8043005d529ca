import Adapters
import Baking
import Calibrating
import Checkpoints
import Factoring
import Files
import Kernels
import Rendering
import Sampling

/// Finds what an error in each target of a plan counts, as the command line asks for it.
struct Weigher {
  let rules: RuleOptions
  /// What is drawn, and how large; `nil` for the model's size, but at most 256 pixels a side.
  let scenes: SceneOptions
  let size: PictureSize?
  let common: CommonOptions

  /// - Parameter base: what the adapters are used with, if it was given.
  /// - Returns: `nil` where the size of an error is all that counts.
  func weighing(_ plan: RefactorPlan, base: Checkpoint?) throws -> ErrorWeighing? {
    guard plan.recipe.weighing.needsMeasures else { return nil }
    let found: (weighing: ErrorWeighing, notes: [String])
    if plan.recipe.weighing == .base {
      found = try withProgress("weighing", total: plan.targets.count, isQuiet: common.quiet) {
        try ErrorWeighing.relative(to: base!, for: plan, threads: common.threads, progress: $0)
      }
    } else if let base {
      found = try pictures(plan, base)
    } else {
      found = try ErrorWeighing.sensitivities(plan, SensitivityTable(path: rules.sensitivity!))
    }
    common.warn(found.notes)
    return found.weighing
  }

  private func pictures(_ plan: RefactorPlan, _ base: Checkpoint) throws -> (weighing: ErrorWeighing, notes: [String]) {
    let model = try PictureModel(base)
    let calibration = try Calibration(scenes, model, base, size: size, threads: common.threads)
    let table = try SensitivityRun(base: base, model: model, common: common).table(rules.sensitivity, like: calibration)
    let stack = try Stack(
      Array(zip(plan.adapters, plan.recipe.inputs)), on: base, allowing: [.unknownTensors, .unmatchedTargets])
    common.announce("drawing \(calibration.scenes.count) scenes with \(base.path)")
    return try withProgress("drawing", total: calibration.scenes.count, isQuiet: common.quiet) {
      try ErrorWeighing.pictures(plan, drawing: calibration, with: stack, table, progress: $0)
    }
  }
}

extension Calibration {
  /// What the command line's prompts draw.
  init(_ options: SceneOptions, _ model: PictureModel, _ base: Checkpoint, size: PictureSize?, threads: Int) throws {
    let side = min(model.usualSize, 256), wanted = size ?? PictureSize(width: side, height: side)
    let scenes = try options.scenes(model, size: (wanted, "--picture-size"))
    let size = MapSize(height: wanted.height, width: wanted.width)
    let guidance = Guidance(scale: Float(options.cfg ?? model.usualGuidance(with: .dpm2M)))
    // Four samples at once, and the text encoders beside the denoiser where sensitivities are measured.
    try MemoryEstimate(model, base, decoder: nil, size: size, isGuided: true, precision: .f32, threads: threads)
      .requireAddresses(threads: 2 * threads, file: base.path)
    self.init(
      model,
      scenes: scenes.enumerated().map {
        Scene(prompt: $1.prompt, negative: $1.negative, seed: $1.seed &+ UInt64($0))
      }, size: size, guidance: guidance, threads: threads)
  }
}
