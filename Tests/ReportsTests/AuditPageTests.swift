import Foundation
import FoundationXML
import Testing

@testable import Reports

/// The audit's page stands alone, leaves out what it has no data for, and takes nothing from strangers for markup.
@Suite struct AuditPageTests {
  private let page: String
  private let report = AuditReport.sample()

  init() throws { page = try report.html(pictures: AuditReport.album(report)) }

  /// The page without its style sheet and its script.
  private var body: String {
    let start = page.range(of: "<body")!.lowerBound, end = page.range(of: "<script>", options: .backwards)!.lowerBound
    return String(page[start..<end])
  }

  /// Every element with its attributes, as a reader of XML sees them; `nil` when the page is no tree.
  private func tree(_ page: String) -> [(name: String, attributes: [String: String])]? {
    final class Reader: NSObject, XMLParserDelegate {
      var found: [(name: String, attributes: [String: String])] = []
      func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
      ) { found.append((name, attributes)) }
    }
    // What HTML writes without an end or a value.
    let start = page.range(of: "<body")!.lowerBound, end = page.range(of: "<script>", options: .backwards)!.lowerBound
    var text = String(page[start..<end]).replacing(" checked>", with: ">") + "</body>"
    text = text.replacing(/(<(?:img|input)\b[^>]*)>/) { "\($0.output.1)/>" }
    let reader = Reader(), parser = XMLParser(data: Data(text.utf8))
    parser.delegate = reader
    return parser.parse() ? reader.found : nil
  }

  @Test("what comes from strangers is text: no element, no attribute, and the tree stays whole")
  func strangers() throws {
    let elements = try #require(tree(page))
    #expect(!elements.contains { $0.name == "script" })
    #expect(elements.allSatisfy { $0.attributes.keys.allSatisfy { !$0.hasPrefix("on") && $0 != "autofocus" } })
    let pictures = elements.filter { $0.name == "img" }
    #expect(pictures.count == 12)
    #expect(pictures.allSatisfy { $0.attributes["src"]!.hasPrefix("data:image/png;base64,iVBOR") })
    #expect(pictures.contains { $0.attributes["alt"]!.contains(AuditReport.script) })
    for text in AuditReport.hostile where text != text.escaped { #expect(!body.contains(text)) }
  }

  @Test("the page asks for nothing outside itself")
  func alone() throws {
    #expect(!page.contains("http://") && !body.contains("https://") || body.contains("(https://example.org)"))
    for element in try #require(tree(page)) {
      for (name, value) in element.attributes where ["src", "href", "xlink:href", "action", "data"].contains(name) {
        #expect(value.hasPrefix("data:") || value.hasPrefix("#"), "\(element.name) \(name)")
      }
    }
    #expect(page.contains("default-src 'none'"))
    #expect(!page.contains("@import") && !page.contains("url("))
  }

  @Test("the numbers, signs and words of the checks are there, those that fail first")
  func checks() throws {
    let failing = try #require(body.range(of: "likeness &lt;script&gt;")).lowerBound
    let passing = try #require(body.range(of: "relative error of the weights <em>passes")).lowerBound
    #expect(failing < passing)
    #expect(body.contains("at least 70") && body.contains("at most 0.05"))
    #expect(body.contains("1 of 3 checks fails"))
    #expect(body.contains("time of a step <em>not measured</em>"))
    #expect(body.contains("∞ dB"))
  }

  @Test("a picture that is not given is named in its place")
  func missing() {
    #expect(body.components(separatedBy: "is not in this page").count == 2)
    #expect(body.contains("pictures/1|&quot;&gt;&lt;img src=x onerror=alert(2)&gt;-1.0-difference.png is not"))
  }

  @Test("infinite and missing numbers sort as such")
  func keys() {
    #expect(body.contains("data-key=\"Infinity\"") && body.contains("data-key=\"NaN\""))
    #expect(body.contains("data-key=\"0.001\""))
  }

  @Test("all parts have a heading and a place among the contents")
  func parts() {
    for part in [
      "checks", "not-measured", "warnings", "pictures", "nulls", "prediction", "spectra", "curve", "layers",
      "cross-talk", "cost", "targets", "recipe",
    ] {
      #expect(body.contains("<section id=\"\(part)\""), "\(part)")
      #expect(body.contains("<a href=\"#\(part)\">"), "\(part)")
    }
  }

  @Test("parts without data are left out")
  func empty() throws {
    let page = try AuditReport.empty.html(pictures: [:])
    let elements = try #require(tree(page))
    #expect(elements.compactMap { $0.name == "section" ? $0.attributes["id"] : nil } == ["recipe"])
    #expect(elements.compactMap { $0.name == "a" ? $0.attributes["href"] : nil } == ["#recipe"])
  }

  @Test(
    "every verdict has its shape and its words",
    arguments: [("within noise", "good"), ("visible but small", "fair"), ("different", "bad")])
  func verdicts(verdict: String, tone: String) throws {
    let page = try AuditReport.sample(verdict: verdict, passed: tone != "bad").html(pictures: [:])
    #expect(page.contains("<h1>\(verdict)</h1>"))
    #expect(page.contains("<div class=\"verdict tone-\(tone)\">"))
    let shapes = ["good": "<circle cx=\"24\"", "fair": "<rect x=\"8\"", "bad": "<path class=\"ground\""]
    for (name, shape) in shapes { #expect(page.contains(shape) == (name == tone)) }
  }

  @Test("a page of thousands of weights is made in seconds")
  func many() throws {
    var report = report
    report.weights!.targets = (0..<4000).map { index in
      var row = report.weights!.targets[index % 30]
      row.name = "block.\(index / 100).weight.\(index)"
      row.block = "block.\(index / 100)"
      return row
    }
    let clock = ContinuousClock()
    var page = ""
    let time = try clock.measure { page = try report.html(pictures: [:]) }
    #expect(page.components(separatedBy: "<td class=\"t name\">block.").count == 4001)
    #expect(time < .seconds(20))
  }
}
