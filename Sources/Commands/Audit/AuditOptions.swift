import ArgumentParser
import Audit
import Checkpoints
import Factoring
import Foundation
import Kernels
import Prompts
import Rendering
import Sampling

/// What an audit renders, and how. Its pictures are compared, so that many small ones say more than a few large ones.
struct AuditSceneOptions: ParsableArguments {
  @OptionGroup var scene: SceneOptions

  @Option(
    help: ArgumentHelp(
      "Compare at these multiples of all strengths (default: 0.5,0.8,1; only 1 with --try, and where a side is a checkpoint).",
      valueName: "numbers"))
  var strengths: StrengthList?

  @Option(help: ArgumentHelp("Steps (default: 12; 4 with lcm and tcd).", valueName: "n"))
  var steps: Int?

  @Option(help: "How the noise is taken away.")
  var sampler = SamplerKind.dpm2M

  @Option(help: "f32, or bf16 where the processor multiplies it: up to twice as fast, and the noise is louder.")
  var precision = Precision.f32

  @Option(help: "Noise like torch's on a CPU, or philox like that of NVIDIA's GPUs.")
  var rng = RenderRequest.Generator.torch

  @Option(
    help: ArgumentHelp("Decode with this autoencoder: a file, a folder, a checkpoint, or a TAESD.", valueName: "path"))
  var vae: String?

  mutating func validate() throws {
    try precision.requireProcessor()
    if let steps, steps < 1 { throw ValidationError("--steps: expected at least 1, found \(steps)") }
  }

  /// The strengths of pairs that nobody has said otherwise about.
  static let usualStrengths = [0.5, 0.8, 1]

  var hasPrompts: Bool { scene.hasPrompts }

  /// Refuses options of pictures where none are compared.
  ///
  /// - Parameter option: with which some are.
  func requireNoneOfPictures(but option: String) throws {
    let given: [(name: String, isGiven: Bool)] = [
      ("--strengths", strengths != nil), ("--steps", steps != nil), ("--sampler", sampler != .dpm2M),
      ("--precision", precision != .f32), ("--rng", rng != .torch), ("--vae", vae != nil),
    ]
    guard let unused = given.first(where: \.isGiven) else { return }
    throw ValidationError("\(unused.name): expected \(option) beside it, found none")
  }

  /// How pictures of the model are made.
  func rendering(
    _ model: PictureModel, of base: Checkpoint, decodes: Bool = true, threads: Int
  ) throws -> AuditRendering {
    var request = RenderRequest(prompt: "", size: MapSize(height: model.usualSize, width: model.usualSize))
    request.sampler = sampler
    request.steps = steps ?? sampler.usualSteps(otherwise: 12)
    request.guidance = Guidance(scale: Float(scene.cfg ?? model.usualGuidance(with: sampler)))
    request.generator = rng
    let other = try vae.map { try AutoencoderSource(path: $0) }
    let decodes = decodes && hasPrompts
    guard other != nil || model.autoencoder != nil || !decodes else {
      throw RenderingError(.noAutoencoder(isApart: false), file: model.path)
    }
    // Weights are compared by further threads.
    try MemoryEstimate(
      model, base, decoder: decodes ? other?.checkpoint ?? base : nil, size: request.size,
      isGuided: request.guidance.needsUnconditional, precision: precision, threads: threads
    ).requireAddresses(threads: 2 * threads, file: model.path)
    return AuditRendering(
      model: model, autoencoder: other ?? .own, request: request, precision: precision, threads: threads)
  }

  /// What is rendered.
  ///
  /// - Parameter wanted: the size of pictures that the file says nothing about, and the option that says so.
  func scenes(_ model: PictureModel, size wanted: (size: PictureSize?, option: String)) throws -> [AuditScene] {
    try scene.scenes(
      model, size: wanted, strengths: strengths?.values, otherwise: Self.usualStrengths,
      adapters: "an audit's adapters belong to --before and --after")
  }
}

/// `probe.relative_error=0.02`: another limit for a check.
struct LimitArgument: ExpressibleByArgument {
  let measure: AuditMeasure
  let limit: Double

  init?(argument: String) {
    let parts = argument.split(separator: "=")
    guard parts.count == 2, let measure = AuditMeasure(named: String(parts[0])), let limit = Double(parts[1]),
      !limit.isNaN
    else { return nil }
    (self.measure, self.limit) = (measure, limit)
  }
}
