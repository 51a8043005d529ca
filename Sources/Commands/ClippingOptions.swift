import ArgumentParser
import Factoring

/// What becomes of singular values that stand out.
struct ClippingOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      "Take spikes down: in targets with nearly all of their delta in one far too strong direction, or with --base stronger than "
        + "twice the weight, no singular value stays above --clip-to. Pictures of several adapters get better by it; whether a "
        + "spike carries effect cannot be seen from weights."))
  var clipSpikes = false

  @Option(
    help: ArgumentHelp(
      "With --clip-spikes: how many times the median of all targets' largest singular values (default: 2).",
      valueName: "x"))
  var clipTo: Double?

  @Option(help: ArgumentHelp("In all targets, write no singular value above this.", valueName: "sigma"))
  var clipSigma: Double?

  mutating func validate() throws {
    for (name, value) in [("--clip-to", clipTo), ("--clip-sigma", clipSigma)] {
      if let value, !(value > 0 && value.isFinite) {
        throw ValidationError("\(name): expected a number above 0, found \(value)")
      }
    }
    guard clipTo == nil || clipSpikes else { throw ValidationError("--clip-to: expected --clip-spikes beside it") }
    guard clipSigma == nil || !clipSpikes else {
      throw ValidationError("--clip-sigma: expected no --clip-spikes beside it, found one")
    }
  }

  var clipping: SpikeClipping {
    if clipSpikes { return .spikes(medians: clipTo ?? 2) }
    return clipSigma.map { .above($0) } ?? .none
  }

  /// - Throws: `ValidationError` where components are not singular ones.
  func check(_ weighing: Weighing) throws {
    guard clipping == .none || weighing != .pictures else {
      throw ValidationError("\(clipSpikes ? "--clip-spikes" : "--clip-sigma"): expected no --weigh pictures beside it")
    }
  }
}
