/// With ε what the denoiser predicts before, ε' after.
extension AuditMeasure {
  /// ‖ε − ε'‖ ÷ ‖ε‖ over all times, of the worst prompt.
  public static let probeError = AuditMeasure(
    "probe.relative_error", title: "error of the noise prediction", shortTitle: "error of the prediction",
    usualLimit: 0.1, searchName: "probe", advice: keepMore,
    from: .probe { noise in
      let worst = noise.rows.max { $0.errors.relativeError < $1.errors.relativeError }
      return Reading(value: noise.relativeError, null: noise.null, worst: worst?.prompt)
    }
  ) { _, _ in "How much one pass of the UNet differs, relative to its prediction, with the worst prompt." }

  /// ‖ε − ε'‖ ÷ ‖ε − ε_base‖ over all times, of the worst prompt.
  public static let effectError = AuditMeasure(
    "probe.effect_error", title: "error of the prediction, as a share of the effect", usualLimit: 0.2,
    searchName: "effect",
    advice: keepMore,
    from: .probe { noise in
      let worst = noise.rows.max { $0.effect.relativeError < $1.effect.relativeError }
      return Reading(value: noise.effectError, worst: worst?.prompt)
    }
  ) { _, _ in "The same difference, relative to what the adapters change of the prediction." }

  private static let keepMore = "Keep more; the report's worst layers say where."
}
