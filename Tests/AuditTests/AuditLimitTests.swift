import Testing

@testable import Audit

/// The search for the smallest that is good enough: its limits, and how it asks.
@Suite struct AuditLimitTests {
  @Test("a limit is a measure's word, the sign that its values are better on, and a number")
  func limits() throws {
    let probe = try #require(AuditLimit("probe <= 0.02"))
    #expect(probe.measure == .probeError && probe.limit == 0.02 && probe.text == "probe<=0.02")
    #expect(probe.isKept(by: 0.02) && !probe.isKept(by: 0.03) && !probe.isKept(by: .nan))
    let likeness = try #require(AuditLimit("MS-SSIM>=0.99"))
    #expect(likeness.measure == AuditMeasure(.multiScaleSimilarity))
    #expect(likeness.isKept(by: 1) && !likeness.isKept(by: 0.98) && !likeness.isKept(by: .nan))
    for metric in Metric.all {
      let sign = metric.isLarger ? (">=", "<=") : ("<=", ">=")
      let word = metric.name.replacing("_", with: "-")
      #expect(AuditLimit("\(word)\(sign.0)1")?.measure == AuditMeasure(metric))
      #expect(AuditLimit("\(word)\(sign.1)1") == nil)
    }
  }

  @Test(
    "what is no limit is refused",
    arguments: ["", "probe", "probe<=", "probe>=0.1", "ssim<=0.9", "beauty>=1", "weights<=1", "psnr>=inf", "ssim>=nan"])
  func refused(text: String) { #expect(AuditLimit(text) == nil) }

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
