import Factoring
import TestSupport
import Testing

@testable import Audit

/// What follows from what was measured.
@Suite struct AuditReasonTests {
  let sides: Sides

  init() throws { sides = try Sides() }

  private func result(strength: Double) throws -> AuditResult {
    let sketch = Sides.adapter("sketch")
    return try AuditPlan(
      before: sides.side(.init(path: sketch)), after: sides.side(.init(path: sketch, strength: strength)), scenes: [],
      rendering: nil, threads: 2
    ).run()
  }

  private let conditions = AuditConditions(
    base: nil, scenes: [], sampler: "", steps: 0, cfg: 0, precision: "", rng: "")

  @Test("half the strength is told as that; the same is within the noise")
  func strength() throws {
    let half = try result(strength: 0.5)
    guard case .strength(let scale) = try #require(half.reasons.first) else {
      Issue.record("\(half.reasons)")
      return
    }
    #expect(abs(scale - 0.5) < 1e-3 && half.reasons.count == 1)
    #expect(half.verdict == .different && !half.passes)
    let same = try result(strength: 1)
    #expect(same.reasons.isEmpty && same.verdict == .withinNoise && same.failing.isEmpty)
    #expect(same.checks.map(\.measure) == AuditMeasure.ofWeights)
  }

  @Test("worse than an earlier audit is different, also where every limit is kept")
  func earlier() throws {
    var result = try result(strength: 0.95)
    #expect(result.verdict == .visibleButSmall)
    let values = result.checks.map { ($0.measure.name, $0.value) }
    try result.compare(with: EarlierAudit(conditions: conditions, values: values), under: conditions, path: "old")
    #expect(result.passes && result.verdict == .visibleButSmall)
    let better = values.map { ($0.0, $0.0 == "weights.scale" ? 0.01 : $0.1) }
    try result.compare(with: EarlierAudit(conditions: conditions, values: better), under: conditions, path: "old")
    #expect(!result.passes && result.verdict == .different && result.failing.isEmpty)
    #expect(result.reasons == [.worse(count: 1, of: values.count, first: .scale)])
    #expect(result.rowChecks.count == 2 * values.count && result.rowChecks.last?.name.hasPrefix("against.") == true)
    var others = conditions
    others.steps = 9
    let error = #expect(throws: AuditError.self) {
      try result.compare(with: EarlierAudit(conditions: others, values: better), under: conditions, path: "old")
    }
    #expect(error?.description.hasPrefix("old: steps: expected 9 as in that report, found 0") == true)
  }
}
