import Checkpoints
import Factoring
import Images

/// What an audit measured, and what follows from it.
public struct AuditResult: Sendable {
  /// What was asked for.
  public let plan: AuditPlan
  /// What is added to the weights, before against after.
  public let weights: WeightComparison
  /// Of the base alone, before, and after.
  public let costs: [AuditCost]
  /// What the factors of the adapters say by themselves.
  public let structure: AuditStructure
  /// `nil` where the denoiser was not to be asked, or where numbers after are broken.
  public let noise: NoiseError?
  /// `nil` where there are no scenes or no rendering, or where numbers after are broken.
  public let pictures: AuditPictures?
  /// One for each measure that was looked at, in the order of `AuditMeasure.all`.
  public private(set) var checks: [AuditCheck] = []
  /// `nil` where there is no earlier audit to compare with.
  public internal(set) var earlier: EarlierComparison?
  /// What was known from earlier audits: the base, and harmless changes by their names.
  public internal(set) var reused: [String] = []
  /// Of the whole run.
  public internal(set) var seconds = 0.0

  init(
    plan: AuditPlan, weights: WeightComparison, costs: [AuditCost], structure: AuditStructure, noise: NoiseError?,
    pictures: AuditPictures?
  ) {
    (self.plan, self.weights, self.costs, self.structure) = (plan, weights, costs, structure)
    (self.noise, self.pictures) = (noise, pictures)
    checks = AuditMeasure.all.compactMap { measure in
      reading(of: measure).map { AuditCheck(measure, $0, limit: plan.limits[measure]) }
    }
  }

  /// `nil` for what was not looked at.
  private func reading(of measure: AuditMeasure) -> AuditMeasure.Reading? {
    switch measure.source {
    case .weights(let read): return read(weights, plan.after)
    case .probe(let read): return noise.map(read)
    case .latents(let read): return pictures.flatMap { $0.pairs.isEmpty ? nil : read($0) }
    case .pictures(let metric):
      guard let pictures, !pictures.pairs.isEmpty else { return nil }
      return AuditMeasure.reading(metric, of: pictures)
    }
  }

  // MARK: Verdict

  /// The 8-bit format of weights without a scale, where the checkpoint after has some that the base has not.
  public var coarseFormat: String? {
    guard let checkpoint = plan.after.checkpoint else { return nil }
    let coarse = checkpoint.weights.first {
      $0.component == .denoiser && $0.entry.dtype.bits == 8 && $0.entry.dtype.unitRoundoff != nil
        && $0.quantisation == nil
    }
    return coarse?.entry.dtype.rawValue.lowercased()
  }

  /// Whether every check passes, those against an earlier audit too.
  public var passes: Bool { failing.isEmpty && (earlier?.worse.isEmpty ?? true) }

  /// The checks that do not pass, in their order.
  public var failing: [AuditCheck] { checks.filter { !$0.passes } }

  /// `different` where a check fails. Else the error of the prediction and the metrics that judge pictures decide what
  /// is within noise; without pictures that error alone, and without a prediction the error of the weights.
  public var verdict: AuditVerdict {
    guard passes else { return .different }
    let judges: [AuditMeasure] =
      pictures != nil
      ? [.probeError] + Self.judges.map { AuditMeasure($0) } : noise != nil ? [.probeError] : [.weightError]
    return checks.filter { judges.contains($0.measure) }.allSatisfy(\.isWithinNoise) ? .withinNoise : .visibleButSmall
  }

  /// What one pair of pictures says by itself.
  public func verdict(of pair: AuditPictures.Pair) -> AuditVerdict {
    guard let pictures else { return .different }
    let checks = Self.judges.map { metric in
      let measure = AuditMeasure(metric)
      return AuditCheck(
        measure, pair.likeness[metric], limit: plan.limits[measure], null: pictures.nullBound(metric))
    }
    return checks.allSatisfy(\.isWithinNoise)
      ? .withinNoise : checks.allSatisfy(\.passes) ? .visibleButSmall : .different
  }

  private static let judges = Metric.all.filter(\.isJudge)

  /// Whether numbers after are broken, so that nothing was asked of the denoiser.
  public var isBroken: Bool { weights.entries.contains { $0.notFiniteAfter > 0 } }
}
