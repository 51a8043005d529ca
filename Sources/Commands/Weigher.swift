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
  /// What `lathe sensitivity` wrote, if it was given.
  let sensitivity: String?
  /// What is drawn, and how large; `nil` for the model's size, but at most 256 pixels a side.
  let scenes: SceneOptions
  let size: PictureSize?
  let common: CommonOptions

  /// The decomposition of a plan by which ranks are chosen.
  ///
  /// - Parameters:
  ///   - adapters: the plan's, as they were opened.
  ///   - base: what the adapters are used with, if it was given and something of it is needed.
  func decomposition(of plan: RefactorPlan, _ adapters: [Adapter], base: Checkpoint?) throws -> DecomposedPlan {
    let measures = try weighing(plan, of: adapters, base: base)
    var weights: [Double?]?
    if case .spikes = plan.recipe.clipping, let base {
      weights = try withProgress("reading the base", total: plan.targets.count, isQuiet: common.quiet) {
        try WeightStrengths.of(plan, in: base, threads: common.threads, progress: $0)
      }
    }
    return try withProgress("decomposing", total: plan.targets.count, isQuiet: common.quiet) {
      try DecomposedPlan(plan, weighing: measures, weights: weights, threads: common.threads, progress: $0)
    }
  }

  /// - Parameters:
  ///   - adapters: the plan's, as they were opened: what they are made of for a plan need not be what is drawn with.
  ///   - base: what the adapters are used with, if it was given.
  /// - Returns: `nil` where the size of an error is all that counts.
  private func weighing(_ plan: RefactorPlan, of adapters: [Adapter], base: Checkpoint?) throws -> ErrorWeighing? {
    guard plan.recipe.weighing.needsMeasures else { return nil }
    let found: (weighing: ErrorWeighing, notes: [String])
    if plan.recipe.weighing == .base {
      found = try withProgress("weighing", total: plan.targets.count, isQuiet: common.quiet) {
        try ErrorWeighing.relative(to: base!, for: plan, threads: common.threads, progress: $0)
      }
    } else if let base {
      found = try pictures(plan, adapters, base)
    } else {
      let path = sensitivity!, table = try SensitivityTable(path: path)
      try table.require(plan.family, path: path)
      found = try ErrorWeighing.sensitivities(plan, table)
    }
    common.warn(found.notes)
    return found.weighing
  }

  private func pictures(
    _ plan: RefactorPlan, _ adapters: [Adapter], _ base: Checkpoint
  ) throws -> (weighing: ErrorWeighing, notes: [String]) {
    let model = try PictureModel(base)
    let calibration = try Calibration(scenes, model, base, size: size, common: common)
    let run = SensitivityRun(base: base, model: model, hashes: SensitivityTable.hashes(of: base), common: common)
    let table = try run.table(sensitivity, like: calibration)
    let stack = try Stack(
      Array(zip(adapters, plan.recipe.inputs)), on: base, allowing: [.unknownTensors, .unmatchedTargets])
    common.announce("drawing \(calibration.scenes.count) scenes with \(base.path)")
    return try withProgress("drawing", total: calibration.scenes.count, isQuiet: common.quiet) {
      try ErrorWeighing.pictures(plan, drawing: calibration, with: stack, table, hashes: run.hashes, progress: $0)
    }
  }
}

extension Calibration {
  /// What the command line's prompts draw.
  init(
    _ options: SceneOptions, _ model: PictureModel, _ base: Checkpoint, size: PictureSize?, common: CommonOptions
  ) throws {
    let side = min(model.usualSize, 256), wanted = size ?? PictureSize(width: side, height: side)
    try wanted.check(for: model, option: "--picture-size")
    let scenes = try options.scenes(model, size: (wanted, "--picture-size"))
    let size = MapSize(height: wanted.height, width: wanted.width)
    if scenes.contains(where: { $0.size != size }) {
      common.warn(["all scenes are drawn at \(wanted.text), not at sizes of their own"])
    }
    let guidance = Guidance(scale: Float(options.cfg ?? model.usualGuidance(with: .dpm2M)))
    try Self.memory(model, base, size: size, threads: common.threads).requireAddresses(
      threads: 2 * common.threads, file: base.path)
    // The same noise for all would say less; seeds that differ were chosen.
    let areAlike = Set(scenes.map(\.seed)).count == 1
    self.init(
      model,
      scenes: scenes.enumerated().map {
        Scene(prompt: $1.prompt, negative: $1.negative, seed: areAlike ? $1.seed &+ UInt64($0) : $1.seed)
      }, size: size, guidance: guidance, threads: common.threads)
  }

  static func memory(_ model: PictureModel, _ base: Checkpoint, size: MapSize, threads: Int) -> MemoryEstimate {
    MemoryEstimate(
      model, base, decoder: nil, size: size, isGuided: true, samples: samplesAtOnce, precision: .f32, threads: threads)
  }
}
