import Adapters
import Baking
import Checkpoints
import Factoring
import Kernels
import Rendering
import Reports

/// The part of `compare` that asks the UNet.
struct CompareProbe {
  let options: CompareProbeOptions
  let common: CommonOptions

  /// Two base checkpoints.
  func report(_ a: String, _ b: String) throws -> NoiseProbeReport {
    let checkpoints = try [a, b].map { try Checkpoint(path: $0) }
    let models = try checkpoints.map { try PictureModel($0) }
    guard models[0].hasDenoiser(like: models[1]) else {
      throw RenderingError(
        .unsupported(
          what: "the \(models[1].denoiserName)'s measures", expected: "those of \(a)", found: "others",
          hint: "only checkpoints of one family can be compared"), file: b)
    }
    // Each is told its texts and times in its own way; the latents are A's.
    let probe = try probe(models[0], checkpoints[0])
    let predictions = try zip(models, checkpoints).map { model, weights in
      common.announce("asking \(weights.path)")
      return try self.probe(model, weights).predictions(with: weights)[0]
    }
    return NoiseProbeReport(probe, NoiseComparison(predictions[0], predictions[1]), effect: nil)
  }

  /// Two adapters on a base.
  ///
  /// - Returns: also whether every target had its place in the base.
  func report(_ inputs: [AdapterInput], _ adapters: [Adapter], base path: String) throws -> (NoiseProbeReport, Bool) {
    let base = try Checkpoint(path: path), model = try PictureModel(base), probe = try probe(model, base)
    let stack = try Stack(Array(zip(adapters, inputs)), on: base, allowing: [.unknownTensors, .unmatchedTargets])
    for layer in stack.layers {
      let (fit, input) = (layer.fit, layer.input)
      guard fit.fittingCount > 0 else {
        throw RenderingError(
          .missing("targets in \(path)", hint: fit.familyMismatch ?? "lathe check says what is missing"),
          file: input.path)
      }
      common.warn(
        fit.entries.filter { $0.finding != .fits }.map { "\(input.path): \($0.target): no place in \(path), left out" })
    }
    common.announce("asking \(path) without adapters, then with each")
    let origin = try probe.predictions(with: base)[0]
    let predictions = try stack.layers.enumerated().map { index, layer in
      try probe.predictions(with: stack.using([(index, layer.input)]).weights)[0]
    }
    let report = NoiseProbeReport(
      probe, NoiseComparison(predictions[0], predictions[1]),
      effect: NoiseComparison(predictions[0], predictions[1], origin: origin))
    return (report, stack.layers.allSatisfy(\.fit.isComplete))
  }

  private func probe(_ model: PictureModel, _ base: Checkpoint) throws -> NoiseProbe {
    let size = MapSize(height: options.probeSize.height, width: options.probeSize.width)
    // Weights are compared by further threads.
    try MemoryEstimate(
      model, base, decoder: nil, size: size, isGuided: false, precision: options.precision, threads: common.threads
    ).requireAddresses(threads: 2 * common.threads, file: base.path)
    return NoiseProbe(
      model, prompts: [options.prompt], size: size, precision: options.precision, threads: common.threads)
  }
}
