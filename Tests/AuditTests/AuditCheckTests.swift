import Testing

@testable import Audit

@Suite struct AuditCheckTests {
  @Test("a value passes within its limit, or where harmless changes are no better; NaN never does")
  func passing() {
    func passes(_ measure: AuditMeasure, _ value: Double, _ limit: Double, _ null: Double? = nil) -> Bool {
      AuditCheck(measure, value, limit: limit, null: null).passes
    }
    let (score, ratio) = (AuditMeasure(.perceptualScore), AuditMeasure(.peakSignalToNoise))
    #expect(passes(.weightError, 0.3, 0.3) && !passes(.weightError, 0.31, 0.3))
    #expect(passes(.weightError, 0.31, 0.3, 0.31) && !passes(.weightError, 0.31, 0.3, 0.2))
    #expect(passes(score, 60, 60) && !passes(score, 59, 60))
    #expect(passes(score, 59, 60, 58) && !passes(score, 59, 60, 59.5))
    #expect(passes(ratio, .infinity, 25))
    for measure in AuditMeasure.all {
      #expect(!passes(measure, .nan, 1, 1) && !passes(measure, 1, .nan), "\(measure.name)")
    }
    #expect(!passes(.weightError, .infinity, 0.3, 0.2) && !passes(ratio, -.infinity, 25, 20))
    #expect(!passes(.latentError, .infinity, 0.5, .infinity))
  }

  @Test("every measure has a limit, and its own one where it is set")
  func limits() {
    var limits = AuditLimits()
    for measure in AuditMeasure.all { #expect(limits[measure].isFinite) }
    limits[.probeError] = 0.5
    #expect(limits[.probeError] == 0.5 && limits[.effectError] != 0.5)
  }
}
