import Audit

/// What an audit's numbers mean, in one sentence each, and what to do about them.
enum AuditWords {
  static func title(_ measure: AuditMeasure) -> String {
    switch measure {
    case .weightError: "relative error of the weights"
    case .worstBlock: "relative error of the worst block"
    case .baseError: "error relative to the base"
    case .scale: "strength that changed"
    case .lost: "effect that is lost"
    case .added: "effect that is new"
    case .unplaced: "targets and tensors without a place"
    case .finite: "broken numbers"
    case .probeError: "error of the noise prediction"
    case .effectError: "the same, as a share of the effect"
    case .perceptualScore: "pictures: SSIMULACRA2"
    case .multiScaleSimilarity: "pictures: MS-SSIM"
    case .structuralSimilarity: "pictures: SSIM"
    case .peakSignalToNoise: "pictures: PSNR in dB"
    }
  }

  static func meaning(_ check: AuditCheck) -> String {
    let value = check.value
    return switch check.measure {
    case .weightError:
      "\(Numbers.percent(min(1, value * value))) of the energy of what is added to the weights is not the same any more."
    case .worstBlock: "The part of the network that changed most, relative to what is added there."
    case .baseError: "How large the change is beside the weights themselves."
    case .scale:
      value <= check.limit
        ? "What comes after acts at the strength of what was before."
        : "What comes after acts at another strength than what was before."
    case .lost:
      value == 0
        ? "Every weight that was changed before is changed after."
        : "Part of the effect was in weights that are left alone now."
    case .added:
      value == 0
        ? "No weight is changed that was not changed before."
        : "Weights are changed that were not changed before; relative to the effect before."
    case .unplaced:
      value == 0
        ? "Every tensor after has its place in the base."
        : "Parts of what comes after have no place in the base and do nothing."
    case .finite:
      value == 0
        ? "All numbers after are finite." : "Numbers after are NaN or infinite: pictures will be black or noise."
    case .probeError: "How much one pass of the UNet differs, relative to its prediction, with the worst prompt."
    case .effectError: "The same difference, relative to what the adapters change of the prediction."
    case .perceptualScore: "What the eye sees, on average: 90 and more is no difference, 70 hardly one, 50 a small one."
    case .multiScaleSimilarity: "Likeness of structures, coarse and fine, on average: 1 is equal."
    case .structuralSimilarity: "Likeness of fine structures, on average: 1 is equal."
    case .peakSignalToNoise: "Likeness of pixels, on average: 40 dB and more is excellent, infinite is equal."
    }
  }

  /// What to do; empty when nothing needs to be done.
  static func advice(_ check: AuditCheck) -> String {
    guard !check.passes else { return "" }
    return switch check.measure {
    case .weightError: "Keep more: a larger --size, a smaller --max-error, or a number format of more digits."
    case .worstBlock: "Keep more there: --weigh per-target spares weak targets."
    case .baseError: "Keep more, or store the weights in f16 or f32."
    case .scale: "Look at alpha and rank (lathe inspect), or use another strength."
    case .lost: "Keep more, or use --keep-all-targets; lathe compare names what is missing."
    case .added: "Look for another adapter, another base, or coarse number formats in it."
    case .unplaced: "lathe check says what has no place, and why."
    case .finite: "Do not release it; train or convert again in f32 or bf16."
    case .probeError, .effectError: "Keep more; the report's worst layers say where."
    case .perceptualScore, .multiScaleSimilarity, .structuralSimilarity, .peakSignalToNoise:
      "Look at the pictures: another detail of the same quality may be fine, another subject is not."
    }
  }

  // MARK: The whole

  static func summary(_ result: AuditResult) -> String {
    let failed = result.checks.filter { !$0.passes }
    return switch result.verdict {
    case .withinNoise: "The same: no farther apart than changes of precision that everybody accepts."
    case .visibleButSmall: "Nearly the same: the difference can be measured, and is small."
    case .different:
      "Not the same: \(failed.count) of \(result.checks.count) checks fail, first of all the "
        + (failed.first.map { title($0.measure) } ?? "") + "."
    }
  }

  /// The likeliest causes of a failure.
  static func reasons(_ result: AuditResult) -> [String] {
    let failed = Set(result.checks.filter { !$0.passes }.map(\.measure))
    guard !failed.isEmpty else { return [] }
    let total = result.weights.total
    var reasons: [String] = []
    if failed.contains(.finite) { reasons.append("There are NaN or infinite numbers, so nothing was rendered.") }
    if let format = result.coarseFormat, total.baseRelativeError > 0.005 {
      reasons.append(
        "The checkpoint stores \(format) numbers without a scale: rounding alone moves the weights by "
          + "\(Numbers.percent(total.baseRelativeError)) of their size, \(Numbers.short(total.relativeError)) times the "
          + "adapters' effect. Store f16, or bake with --rounding shaped, or keep the base's scales.")
    }
    if failed.contains(.scale), reasons.isEmpty {
      reasons.append("The effect stands there at \(Numbers.short(total.scale)) times its strength.")
    }
    if failed.contains(.unplaced) { reasons.append("Targets have no place in the base; lathe check names them.") }
    if failed.contains(.lost) { reasons.append("Some weights are not changed any more.") }
    if reasons.isEmpty, total.difference > 0 {
      let names = result.weights.blocks.filter { $0.total.energyBefore > 0 }
        .sorted { $0.total.difference > $1.total.difference }.prefix(3).map(\.name)
      reasons.append("Too much of the effect is another; most of what differs is in \(names.joined(separator: ", ")).")
    }
    return reasons
  }
}
