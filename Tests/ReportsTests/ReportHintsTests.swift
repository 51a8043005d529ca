import Adapters
import Audit
import Spectra
import TestSupport
import Testing

@testable import Reports

/// Reports speak of options only in the words that they are given.
@Suite struct ReportHintsTests {
  private let adapter: Adapter

  init() throws { adapter = try Adapter(path: Goldens.example("Toybox/adapters/sketch.safetensors")) }

  @Test("without words a report names no option, and with them it has them where they belong")
  func texts() throws {
    let words = ReportHints { "<\($0)>" }
    let spectrum = SpectrumReport(adapter, try AdapterSpectrum(of: adapter, threads: 2))
    let inspect = InspectReport(adapter, hashes: nil, survey: nil)
    for text in [spectrum.text(width: 100, showsTargets: false), inspect.text(width: 100, showsTargets: false)] {
      #expect(!text.contains("--") && !text.contains("<"), "\(text)")
    }
    #expect(spectrum.text(width: 100, showsTargets: false, hints: words).hasSuffix("\n<onlyBlocks>\n"))
    #expect(!spectrum.text(width: 100, showsTargets: true, hints: words).contains("<"))
    let text = inspect.text(width: 100, showsTargets: false, hints: words)
    #expect(text.contains("more entries (<someMetadata>)") && text.contains("none found (<weightsNotRead>)"))
  }

  @Test("a cause is a sentence with a remedy and without")
  func reasons() {
    #expect(AuditReason.unplaced.text(nil) == "Targets have no place in the base.")
    #expect(AuditReason.unplaced.text("look") == "Targets have no place in the base; look.")
    let coarse = AuditReason.coarseFormat("f8_e4m3", ofBase: 0.02, ofEffect: 1.5)
    #expect(coarse.text(nil).hasSuffix("2.0 % of their size, 1.5 times the adapters' effect."))
    #expect(coarse.text(AuditWords.usual.remedy(coarse)).hasSuffix("or keep the base's scales."))
  }

  @Test("a likeness has what its report has: one of an earlier version lacks a metric")
  func likeness() throws {
    var report = AuditReport.sample()
    report.pictures[0].likeness = AuditReport.Likeness(
      values: ["ssim": 0.99996, "psnr": 40], greatestDifference: 1, differingShare: 0.5)
    let again = try AuditReport(jsonText: Array(report.jsonText().utf8))
    let likeness = again.pictures[0].likeness
    #expect(likeness[.structuralSimilarity] == 0.99996 && likeness[.perceptualScore] == nil)
    let numbers = AuditPage.LikenessNumbers(likeness).figures
    #expect(numbers.map(\.metricTitle) == Metric.all.map(\.title))
    let values = Dictionary(uniqueKeysWithValues: numbers.map { ($0.metricTitle, $0.metricValue) })
    #expect(values["SSIMULACRA2"] == "–" && values["SSIM"] == "≈1" && values["PSNR"] == "40.0 dB")
    #expect(numbers.map(\.isMain) == Metric.all.indices.map { $0 == 0 })
  }

  @Test("every format of an audit's report has a file of its own")
  func formats() throws {
    let names = AuditFormat.all.map(\.fileName)
    #expect(Set(names).count == names.count)
    let usual: Set = ["report.json", "report.html", "report.md", "checks.csv", "targets.csv", "pictures.csv"]
    #expect(usual.isSubset(of: names) && AuditFormat.page.fileName == "report.html")
    for format in AuditFormat.all {
      #expect(try !format.text(of: .sample(), pictures: [:]).isEmpty, "\(format.fileName)")
    }
  }
}
