import Testing

@testable import Audit

@Suite struct AuditCheckTests {
  @Test("a value passes within its limit, or where harmless changes are no better; NaN never does")
  func passing() {
    func passes(_ measure: AuditMeasure, _ value: Double, _ limit: Double, _ null: Double? = nil) -> Bool {
      AuditCheck(measure, value, limit: limit, null: null).passes
    }
    #expect(passes(.weightError, 0.3, 0.3) && !passes(.weightError, 0.31, 0.3))
    #expect(passes(.weightError, 0.31, 0.3, 0.31) && !passes(.weightError, 0.31, 0.3, 0.2))
    #expect(passes(.perceptualScore, 60, 60) && !passes(.perceptualScore, 59, 60))
    #expect(passes(.perceptualScore, 59, 60, 58) && !passes(.perceptualScore, 59, 60, 59.5))
    #expect(passes(.peakSignalToNoise, .infinity, 25))
    for measure in AuditMeasure.allCases {
      #expect(!passes(measure, .nan, 1, 1) && !passes(measure, 1, .nan), "\(measure)")
    }
    #expect(!passes(.weightError, .infinity, 0.3, 0.2) && !passes(.peakSignalToNoise, -.infinity, 25, 20))
  }

  @Test("every measure has a limit, and its own one where it is set")
  func limits() {
    var limits = AuditLimits()
    for measure in AuditMeasure.allCases { #expect(limits[measure].isFinite) }
    limits[.probeError] = 0.5
    #expect(limits[.probeError] == 0.5 && limits[.effectError] != 0.5)
  }

  @Test(
    "the search finds every threshold in any range, and asks about few numbers", arguments: [1, 2, 3, 17, 64, 1000])
  func search(_ count: Int) {
    for threshold in Set([1, 2, count / 3, count - 1, count].filter { $0 >= 1 && $0 <= count }) {
      var asked = 0
      let found = smallestPassing(in: 1...count) { number in
        asked += 1
        return number >= threshold
      }
      #expect(found == threshold)
      #expect(Double(1 << (asked - 1)) <= 4 * Double(count), "\(asked) questions for \(count)")
    }
    #expect(smallestPassing(in: 1...count) { _ in false } == nil)
  }
}
