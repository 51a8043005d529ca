import Checkpoints
import Factoring
import Images

/// What an audit measured, and what follows from it.
public struct AuditResult: Sendable {
  public let plan: AuditPlan
  public let weights: WeightComparison
  /// Of the base alone, before, and after.
  public let costs: [AuditCost]
  public let structure: AuditStructure
  public let noise: NoiseError?
  public let pictures: AuditPictures?
  public private(set) var checks: [AuditCheck] = []
  public internal(set) var seconds = 0.0

  init(
    plan: AuditPlan, weights: WeightComparison, costs: [AuditCost], structure: AuditStructure, noise: NoiseError?,
    pictures: AuditPictures?
  ) {
    (self.plan, self.weights, self.costs, self.structure) = (plan, weights, costs, structure)
    (self.noise, self.pictures) = (noise, pictures)
    checks = weightChecks + noiseChecks + pictureChecks
  }

  // MARK: Checks

  private func check(
    _ measure: AuditMeasure, _ value: Double, null: Double? = nil, worst: String? = nil
  ) -> AuditCheck {
    AuditCheck(measure, value, limit: plan.limits[measure], null: null, worst: worst)
  }

  private var weightChecks: [AuditCheck] {
    let total = weights.total, rounding = total.roundingError
    let blocks = weights.blocks.filter { $0.total.energyBefore > 0 }
    let block = blocks.max { $0.total.relativeError < $1.total.relativeError }
    let weight = weights.entries.max { $0.difference < $1.difference }.flatMap { $0.difference > 0 ? $0 : nil }
    let broken = weights.entries.filter { $0.notFiniteAfter > 0 }, left = plan.after.leftOut
    return [
      check(.weightError, total.relativeError, null: rounding, worst: weight?.name.path),
      check(
        .worstBlock, block?.total.relativeError ?? 0, null: blocks.map(\.total.roundingError).max(), worst: block?.name),
      check(.baseError, total.baseRelativeError, null: total.baseRoundingError),
      check(.scale, abs(1 - total.scale)),
      check(.lost, weights.lostShare, worst: weights.entries.filter { $0.energyAfter == 0 }.largest(\.energyBefore)),
      check(.added, weights.addedShare, worst: weights.entries.filter { $0.energyBefore == 0 }.largest(\.energyAfter)),
      check(.unplaced, Double(left.count), worst: left.first),
      check(
        .finite, Double(broken.reduce(0) { $0 + $1.notFiniteAfter }), worst: broken.first?.name.path),
    ]
  }

  private var noiseChecks: [AuditCheck] {
    guard let noise else { return [] }
    let prompt = noise.rows.max { $0.errors.relativeError < $1.errors.relativeError }?.prompt
    let effect = noise.rows.max { $0.effect.relativeError < $1.effect.relativeError }?.prompt
    return [
      check(.probeError, noise.relativeError, null: noise.null, worst: prompt),
      check(.effectError, noise.effectError, worst: effect),
    ]
  }

  private var pictureChecks: [AuditCheck] {
    guard let pictures, !pictures.pairs.isEmpty else { return [] }
    return AuditMeasure.ofPictures.map { measure in
      let values = pictures.pairs.map { $0.likeness.value(of: measure) }
      let worst = pictures.pairs[values.indices.min { values[$0] < values[$1] }!]
      return check(
        measure, AuditPictures.mean(measure, of: pictures.pairs.map(\.likeness)), null: nullBound(measure, pictures),
        worst: "\(worst.shot.scene.prompt), strength \(worst.shot.strength.shortText)")
    }
  }

  /// What all but one in twenty of the harmless changes' pictures reach.
  public func nullBound(_ measure: AuditMeasure, _ pictures: AuditPictures) -> Double? {
    let values = pictures.nulls.flatMap { $0.rows.map { $0.likeness.value(of: measure) } }.sorted()
    return values.isEmpty ? nil : values[values.count / 20]
  }

  // MARK: Verdict

  /// The 8-bit format of weights without a scale, where the checkpoint after has some that the base has not.
  public var coarseFormat: String? {
    guard let checkpoint = plan.after.checkpoint else { return nil }
    let coarse = checkpoint.weights.first {
      $0.component == .denoiser && $0.entry.dtype.bits == 8 && $0.entry.dtype.unitRoundoff != nil
        && checkpoint.scaleWeight(of: $0) == nil
    }
    return coarse?.entry.dtype.rawValue.lowercased()
  }

  public var passes: Bool { checks.allSatisfy(\.passes) }

  public var verdict: AuditVerdict {
    guard passes else { return .different }
    let judges: [AuditMeasure] =
      pictures != nil
      ? [.probeError, .perceptualScore, .multiScaleSimilarity] : noise != nil ? [.probeError] : [.weightError]
    return checks.filter { judges.contains($0.measure) }.allSatisfy(\.isWithinNoise) ? .withinNoise : .visibleButSmall
  }

  /// What one pair of pictures says by itself.
  public func verdict(of pair: AuditPictures.Pair) -> AuditVerdict {
    guard let pictures else { return .different }
    let checks = [AuditMeasure.perceptualScore, .multiScaleSimilarity].map { measure in
      check(measure, pair.likeness.value(of: measure), null: nullBound(measure, pictures))
    }
    return checks.allSatisfy(\.isWithinNoise)
      ? .withinNoise : checks.allSatisfy(\.passes) ? .visibleButSmall : .different
  }
}

extension ImageComparison {
  func value(of measure: AuditMeasure) -> Double {
    switch measure {
    case .perceptualScore: perceptualScore
    case .multiScaleSimilarity: multiScaleSimilarity
    case .structuralSimilarity: structuralSimilarity
    case .peakSignalToNoise: peakSignalToNoise
    default: preconditionFailure("\(measure.rawValue) is no measure of pictures")
    }
  }
}

extension [WeightComparison.Entry] {
  /// The name of the entry with the most.
  fileprivate func largest(_ path: KeyPath<WeightComparison.Entry, Double>) -> String? {
    guard let entry = self.max(by: { $0[keyPath: path] < $1[keyPath: path] }), entry[keyPath: path] > 0 else {
      return nil
    }
    return entry.name.path
  }
}
