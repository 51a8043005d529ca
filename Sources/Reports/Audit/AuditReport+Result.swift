public import Audit
import Checkpoints

extension AuditReport {
  /// - Parameters:
  ///   - recipe: what was asked for, with hashes.
  ///   - notMeasured: what was left out because the user or the model would have it so.
  ///   - words: for advice.
  public init(
    _ result: AuditResult, recipe: Recipe, notMeasured: [String], warnings: [String], words: AuditWords = .usual
  ) {
    self.init(
      verdict: result.verdict.rawValue, passed: result.passes, summary: result.summary,
      reasons: result.reasons.map { $0.text(words.remedy($0)) },
      checks: result.checks.map { Check($0, words) } + (result.earlier?.checks ?? []).map { Check($0) },
      notMeasured: notMeasured + (result.isBroken ? ["noise prediction and pictures: the numbers are broken"] : [])
        + result.structure.gaps.map { "\($0.part): \(words.failure($0.reason))" },
      warnings: warnings, recipe: recipe, weights: Weights(result.weights),
      probe: result.noise.map { Probe($0) }, pictures: Self.pictures(result), nulls: Self.nulls(result),
      costs: Self.costs(result), spectra: result.structure.blocks.map { BlockSpectrum($0) },
      curve: Self.curve(result), crossTalk: Self.crossTalk(result), seconds: result.seconds)
  }

  /// Where the report's pictures go, and what they show: beside those of the pairs the heat map of the difference.
  static func number(_ index: Int, of count: Int) -> String {
    let digits = max(2, "\(count)".count), text = "\(index + 1)"
    return String(repeating: "0", count: digits - text.count) + text
  }

  private static func pictures(_ result: AuditResult) -> [Picture] {
    guard let pairs = result.pictures?.pairs else { return [] }
    return pairs.enumerated().map { index, pair in
      let stem = "pictures/\(number(index, of: pairs.count))"
      return Picture(
        prompt: pair.shot.scene.prompt, negative: pair.shot.scene.negative, seed: pair.shot.scene.seed,
        strength: pair.shot.strength,
        before: "\(stem)-before.png", after: "\(stem)-after.png", difference: "\(stem)-difference.png",
        likeness: Likeness(pair.likeness), verdict: result.verdict(of: pair).rawValue)
    }
  }

  private static func nulls(_ result: AuditResult) -> [Null] {
    (result.pictures?.nulls ?? []).enumerated().map { place, null in
      Null(
        name: null.kind.rawValue, meaning: null.kind.meaning,
        rows: null.rows.enumerated().map { index, row in
          Null.Row(
            prompt: row.shot.scene.prompt, seed: row.shot.scene.seed, strength: row.shot.strength,
            picture: "pictures/null-\(place + 1)-\(number(index, of: null.rows.count)).png",
            likeness: Likeness(row.likeness))
        })
    }
  }

  private static func costs(_ result: AuditResult) -> [Cost] {
    let seconds = result.pictures?.secondsPerStep
    return zip(["base alone", "before", "after"], result.costs).enumerated().map { index, pair in
      let (name, cost) = pair
      return Cost(
        name: name, adapters: cost.adapters, fileBytes: cost.fileBytes, factorBytes: cost.factorBytes,
        loadSeconds: cost.loadSeconds, secondsPerStep: index == 1 ? seconds?.before : index == 2 ? seconds?.after : nil,
        extraArithmetic: cost.extraArithmetic)
    }
  }

  private static func curve(_ result: AuditResult) -> Curve? {
    guard !result.structure.curve.isEmpty, result.plan.after.hasStrength else { return nil }
    return Curve(
      points: result.structure.curve.map { .init(bytes: $0.bytes, relativeError: $0.relativeError) },
      before: .init(bytes: result.costs[1].fileBytes, relativeError: 0),
      after: .init(bytes: result.costs[2].fileBytes, relativeError: result.weights.total.relativeError))
  }

  private static func crossTalk(_ result: AuditResult) -> [CrossTalk] {
    let labels = result.plan.before.inputs.map(\.label)
    return (result.structure.crossTalk?.pairs ?? []).map {
      CrossTalk(
        source: labels[$0.source], target: labels[$0.target], cosine: $0.cosine, output: $0.output, input: $0.input)
    }
  }
}

extension AuditReport.Check {
  init(_ check: AuditCheck, _ words: AuditWords) {
    let measure = check.measure
    self.init(
      name: measure.name, title: measure.title, value: check.value, limit: check.limit, isLeast: measure.isLeast,
      pass: check.passes, null: check.null, worst: check.worst,
      meaning: measure.meaning(of: check.value, limit: check.limit), advice: check.passes ? "" : words.advice(measure))
  }
}

extension AuditReport.Weights {
  init(_ weights: WeightComparison) {
    let total = weights.total
    self.init(
      relativeError: total.relativeError, baseRelativeError: total.baseRelativeError, scale: total.scale,
      cosine: total.cosine, null: total.roundingError,
      nullFormat: weights.roundingFormat,
      blocks: weights.blocks.map { name, total in
        AuditReport.WeightRow(
          name: name, block: name, shape: [], relativeError: total.relativeError,
          baseRelativeError: total.baseRelativeError, normBefore: total.energyBefore.squareRoot(),
          normAfter: total.energyAfter.squareRoot(), difference: total.difference.squareRoot())
      },
      targets: weights.entries.map { entry in
        AuditReport.WeightRow(
          name: entry.name.path, block: entry.block, shape: entry.shape.extents, relativeError: entry.relativeError,
          baseRelativeError: entry.baseRelativeError, normBefore: entry.energyBefore.squareRoot(),
          normAfter: entry.energyAfter.squareRoot(), difference: entry.difference.squareRoot())
      })
  }
}

extension AuditReport.Probe {
  init(_ noise: NoiseError) {
    self.init(
      size: noise.size, relativeError: noise.relativeError, effectError: noise.effectError, null: noise.null,
      rows: noise.rows.flatMap { row in
        row.times.indices.map { index in
          Row(
            prompt: row.prompt, time: Double(row.times[index]), relativeError: row.errors.relativeErrors[index],
            effectError: row.effect.relativeErrors[index], null: row.null[index])
        }
      })
  }
}

extension AuditReport.Likeness {
  init(_ likeness: Audit.Likeness) {
    self.init(
      values: Dictionary(uniqueKeysWithValues: Metric.all.map { ($0.name, likeness[$0]) }),
      greatestDifference: likeness.greatestDifference, differingShare: likeness.differingShare)
  }
}

extension AuditReport.BlockSpectrum {
  init(_ block: AuditStructure.Block) {
    self.init(block: block.name, before: block.before, after: block.after)
  }
}

extension NullKind {
  fileprivate var meaning: String {
    switch self {
    case .roundedWeights: "What was before, its weights rounded to 16 bits as most programs load them."
    case .ownCodes: "What was before, put into the base's own codes at random, as no bake into it can do without."
    case .bfloatArithmetic: "What was before, computed in bf16 as many programs do."
    }
  }
}
