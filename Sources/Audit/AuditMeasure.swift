/// What an audit measures, by the names of its checks.
public enum AuditMeasure: String, Sendable, CaseIterable {
  /// ‖D − D'‖ ÷ ‖D‖ over all weights.
  case weightError = "weights.relative_error"
  /// The same over the weights of the worst block.
  case worstBlock = "weights.worst_block"
  /// ‖D − D'‖ ÷ ‖W‖ over all changed weights.
  case baseError = "weights.base_relative_error"
  /// |1 − c|, c being the strength at which D stands in D' (`WeightComparison.Sums.scale`).
  case scale = "weights.scale"
  /// The share of D in weights that D' leaves alone.
  case lost = "keys.lost"
  /// D' in weights that D leaves alone, as a share of D.
  case added = "keys.added"
  /// Targets without a place and tensors without a meaning.
  case unplaced = "keys.unplaced"
  /// Numbers that are NaN or infinite.
  case finite = "numbers.not_finite"
  /// ‖ε − ε'‖ ÷ ‖ε‖ over all times, of the worst prompt.
  case probeError = "probe.relative_error"
  /// ‖ε − ε'‖ ÷ ‖ε − ε_base‖ over all times, of the worst prompt.
  case effectError = "probe.effect_error"
  /// Of pictures: the mean over all pairs.
  case perceptualScore = "pictures.ssimulacra2"
  case multiScaleSimilarity = "pictures.ms_ssim"
  case structuralSimilarity = "pictures.ssim"
  case peakSignalToNoise = "pictures.psnr"

  /// Whether larger values are better.
  public var isLeast: Bool { Self.ofPictures.contains(self) }

  public static let ofPictures: [AuditMeasure] = [
    .perceptualScore, .multiScaleSimilarity, .structuralSimilarity, .peakSignalToNoise,
  ]
  public static let ofProbe: [AuditMeasure] = [.probeError, .effectError]
}
