import Rendering

/// How far the latents at the end of a run are from others, as a share of what the adapters change there.
///
/// They are what the decoder makes pictures of. Unlike one prediction of the noise they have gone through all steps, so that
/// errors count as they do in pictures; and unlike metrics of pictures they know how much there was to lose.
public struct LatentError: Sendable, Equatable {
  /// ‖z' − z‖ ÷ ‖z − z_base‖; 0 for equal latents.
  public let value: Double

  init(_ before: [Float], _ after: [Float], base: [Float]) {
    precondition(before.count == after.count && before.count == base.count, "latents of other sizes")
    value = NoiseComparison([before], [after], origin: [base]).relativeError
  }
}

extension AuditMeasure {
  /// ‖z' − z‖ ÷ ‖z − z_base‖ of the latents at the end, the mean over all pairs.
  public static let latentError = AuditMeasure(
    "latents.effect_error", title: "error of the final latents, as a share of the effect",
    shortTitle: "error of the latents", usualLimit: 0.5, searchName: "latent",
    advice: "Keep more, or choose what is kept by what it does to pictures.",
    from: .latents { pictures in
      Reading(
        value: LatentError.mean(pictures.pairs.map(\.latentError)),
        null: pictures.nulls.flatMap { $0.rows.map(\.latentError.value) }.reachedByMost(isLarger: false),
        worst: pictures.pairs.max { $0.latentError.value < $1.latentError.value }?.shot.label)
    }
  ) { _, _ in "How far runs end from where they ended, relative to what the adapters change of where they end." }
}

extension LatentError {
  static func mean(_ errors: [LatentError]) -> Double {
    errors.isEmpty ? 0 : errors.reduce(0) { $0 + $1.value } / Double(errors.count)
  }
}
