import Kernels
public import Rendering

/// How far two sides are from each other in what the denoiser predicts, for several prompts and times.
public struct NoiseError: Sendable {
  /// What one prompt gives, at each time and over all.
  public struct Row: Sendable {
    /// What the denoiser is told to draw.
    public let prompt: String
    /// From nearly pure noise to nearly a picture.
    public let times = NoiseProbe.times
    /// ‖ε − ε'‖ ÷ ‖ε‖, with ε predicted by the side before and ε' by the side after.
    public let errors: NoiseComparison
    /// ‖ε − ε'‖ ÷ ‖ε − ε_base‖: the share of what the side before changes of the base's prediction.
    public let effect: NoiseComparison
    /// Of the side before in each of the ways of `NullKind`.
    let nulls: [NoiseComparison]
    /// The largest relative error of a harmless change, for each of `times`.
    public var null: [Double] { times.indices.map { index in nulls.map { $0.relativeErrors[index] }.max() ?? 0 } }
  }

  /// One for each prompt of the probe, in their order.
  public let rows: [Row]
  /// Width and height in pixels: `256x256`.
  public let size: String

  init(_ probe: NoiseProbe, base: [[[Float]]], before: [[[Float]]], after: [[[Float]]], nulls: [[[[Float]]]]) {
    size = probe.size.text
    rows = probe.prompts.indices.map { index in
      Row(
        prompt: probe.prompts[index], errors: NoiseComparison(before[index], after[index]),
        effect: NoiseComparison(before[index], after[index], origin: base[index]),
        nulls: nulls.map { NoiseComparison(before[index], $0[index]) })
    }
  }

  /// ‖ε − ε'‖ ÷ ‖ε‖ over all times, of the worst prompt.
  public var relativeError: Double { rows.worst(of: \.errors) }
  /// ‖ε − ε'‖ ÷ ‖ε − ε_base‖ over all times, of the worst prompt.
  public var effectError: Double { rows.worst(of: \.effect) }
  /// The largest relative error over all times that a harmless change makes with any prompt; 0 where none was tried.
  public var null: Double { rows.flatMap { $0.nulls.map(\.relativeError) }.max() ?? 0 }
}

extension [NoiseError.Row] {
  fileprivate func worst(of path: KeyPath<NoiseError.Row, NoiseComparison>) -> Double {
    map { $0[keyPath: path].relativeError }.max() ?? 0
  }
}

extension AuditRendering {
  /// The question to the denoiser: the first four prompts of the scenes; without any something general, which trigger words
  /// would do better.
  func probe(_ scenes: [AuditScene]) -> NoiseProbe {
    var prompts: [String] = []
    for scene in scenes where !prompts.contains(scene.prompt) { prompts.append(scene.prompt) }
    let side = min(model.usualSize, 256)
    return NoiseProbe(
      model, prompts: prompts.isEmpty ? ["a photo"] : Array(prompts.prefix(4)),
      size: MapSize(height: side, width: side), precision: precision, threads: threads)
  }
}
