import Kernels
import Testing

@testable import Audit

/// An audit against an earlier one.
@Suite struct EarlierComparisonTests {
  private let conditions = AuditConditions(
    base: ["b", "a"],
    scenes: [AuditScene(prompt: "a cat", seed: 1, size: MapSize(height: 64, width: 64), strengths: [1])],
    sampler: "ddim", steps: 4, cfg: 7, precision: "f32", rng: "torch")

  private func comparison(
    _ measure: AuditMeasure, _ value: Double, was: Double, limit: Double? = nil, null: Double? = nil
  ) -> EarlierComparison {
    let check = AuditCheck(measure, value, limit: limit ?? measure.usualLimit, null: null)
    return EarlierComparison([check], with: EarlierAudit(conditions: conditions, values: [(measure.name, was)]))
  }

  @Test("an error may be a twentieth larger than it was, or within the noise, but not beyond its own limit for that")
  func errors() {
    #expect(comparison(.weightError, 0.105, was: 0.1).worse.isEmpty)
    #expect(comparison(.weightError, 0.106, was: 0.1).worse.count == 1)
    #expect(comparison(.weightError, 0.106, was: 0.1, null: 0.11).worse.isEmpty)
    #expect(comparison(.weightError, 0.4, was: 0.1, limit: 0.3, null: 0.5).worse.count == 1)
    #expect(comparison(.weightError, .nan, was: 0.1).worse.count == 1)
    #expect(comparison(.unplaced, 0, was: 0).worse.isEmpty && comparison(.unplaced, 1, was: 0).worse.count == 1)
  }

  @Test("a likeness may lack a twentieth more of what it lacked, and decibels one")
  func likeness() {
    let (similarity, score) = (AuditMeasure(.structuralSimilarity), AuditMeasure(.perceptualScore))
    #expect(comparison(similarity, 0.895, was: 0.9).worse.isEmpty)
    #expect(comparison(similarity, 0.894, was: 0.9).worse.count == 1)
    #expect(comparison(similarity, 0.894, was: 0.9, null: 0.89).worse.isEmpty)
    #expect(comparison(score, 79, was: 80).worse.isEmpty && comparison(score, 78.9, was: 80).worse.count == 1)
    let ratio = AuditMeasure(.peakSignalToNoise)
    #expect(comparison(ratio, 39, was: 40).worse.isEmpty && comparison(ratio, 38.9, was: 40).worse.count == 1)
    // What was equal may be as other as harmless changes make it.
    #expect(comparison(ratio, 45, was: .infinity, null: 44).worse.isEmpty)
    #expect(comparison(ratio, 43, was: .infinity, null: 44).worse.count == 1)
    #expect(comparison(ratio, 26, was: .infinity).worse.isEmpty)
  }

  @Test("checks that only one of the audits has are no checks of the comparison")
  func others() {
    let check = AuditCheck(.scale, 0, limit: 0.1)
    let earlier = EarlierAudit(conditions: conditions, values: [("against.weights.scale", 0), ("strange", 1)])
    #expect(EarlierComparison([check], with: earlier).checks.isEmpty)
    let known = EarlierAudit(conditions: conditions, values: [("strange", 1), ("weights.scale", 0.01)])
    #expect(EarlierComparison([check], with: known).checks.map(\.name) == ["against.weights.scale"])
  }

  @Test("other conditions are told, one of them")
  func otherConditions() {
    func difference(_ change: (inout AuditConditions) -> Void) -> String? {
      var other = conditions
      change(&other)
      return other.difference(from: conditions)
    }
    #expect(difference { _ in } == nil)
    #expect(difference { $0.base = ["a", "b"] } == nil && difference { $0.base = nil } == nil)
    #expect(difference { $0.base = ["a"] } == "base: expected the same as in that report, found another")
    #expect(difference { $0.scenes[0].seed = 2 } == "prompts: expected those of that report, found others")
    #expect(difference { $0.steps = 5 } == "steps: expected 4 as in that report, found 5")
    #expect(difference { $0.cfg = 1 } == "cfg: expected 7.0 as in that report, found 1.0")
    #expect(difference { $0.sampler = "euler" } == "sampler: expected ddim as in that report, found euler")
    #expect(difference { $0.precision = "bf16" } == "precision: expected f32 as in that report, found bf16")
    #expect(difference { $0.rng = "philox" } == "rng: expected torch as in that report, found philox")
  }
}
