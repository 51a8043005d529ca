import Images
import TestSupport
import Testing

@testable import Audit

@Suite struct MetricTests {
  /// A metric that grows with difference, as no built-in one does.
  private static let difference = Metric(
    name: "difference", title: "Difference", isLarger: false, perfect: 0, usualLimit: 3, format: .decimals(2),
    meaning: "How much."
  ) { Double($0.greatestDifference) }

  private func picture(_ level: UInt8) -> RGBImage {
    RGBImage(width: 16, height: 16, filledWith: RGBColor(red: level, green: level, blue: level))
  }

  @Test("every metric has a name of its own, and knows what it says of equal pictures", arguments: Metric.all)
  func equal(metric: Metric) throws {
    #expect(Metric.all.count { $0.name == metric.name } == 1)
    #expect(metric.name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" })
    let same = Likeness(try ImageComparison(picture(7), picture(7)))[metric]
    #expect(metric.perfect.map { $0 == same } ?? same.isInfinite, "\(metric.name): \(same)")
    let other = Likeness(try ImageComparison(picture(7), picture(90)))[metric]
    #expect(metric.isLarger ? other < same : other > same)
    #expect(AuditMeasure(metric).keeps(metric.usualLimit, same))
  }

  @Test("only what is asked for is measured")
  func some() throws {
    let likeness = Likeness(try ImageComparison(picture(7), picture(9)), by: [.peakSignalToNoise, Self.difference])
    #expect(likeness[Self.difference] == 2 && likeness.greatestDifference == 2 && likeness.differingShare == 1)
  }

  @Test("the worst and the bound are at the end that the metric calls worse")
  func ends() {
    let values = (0..<40).map { Double(($0 * 7) % 40) }
    #expect(values[Metric.structuralSimilarity.worst(of: values)!] == 0)
    #expect(values[Self.difference.worst(of: values)!] == 39)
    // Two of forty may be worse.
    #expect(Metric.structuralSimilarity.bound(of: values) == 2)
    #expect(Self.difference.bound(of: values) == 37)
    #expect(Self.difference.bound(of: []) == nil && Self.difference.worst(of: []) == nil)
  }

  @Test("equal pictures do not make a mean of decibels infinite, unless all are equal")
  func mean() throws {
    let equal = Likeness(try ImageComparison(picture(7), picture(7)))
    let other = Likeness(try ImageComparison(picture(7), picture(8)))
    let metric = Metric.peakSignalToNoise
    #expect(metric.mean(of: [equal, other, equal]) == other[metric])
    #expect(metric.mean(of: [equal, equal]) == .infinity)
    #expect(metric.mean(of: []).isNaN)
  }

  @Test("every measure is found by its name, and names and search words are unique")
  func measures() {
    #expect(Set(AuditMeasure.all.map(\.name)).count == AuditMeasure.all.count)
    for measure in AuditMeasure.all { #expect(AuditMeasure(named: measure.name) == measure) }
    let words = AuditMeasure.all.compactMap(\.searchName)
    #expect(Set(words).count == words.count)
    #expect(AuditMeasure(named: "pictures.none") == nil)
  }

  @Test("no measure speaks of a program")
  func words() {
    for measure in AuditMeasure.all {
      for value in [0, 1, .nan] {
        let text = measure.meaning(of: value, limit: measure.usualLimit) + measure.advice
        #expect(!text.contains("--") && !text.contains("lathe"), "\(measure.name)")
      }
    }
  }
}
