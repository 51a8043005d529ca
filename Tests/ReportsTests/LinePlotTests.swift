import Foundation
import FoundationXML
import Testing

@testable import Reports

/// Plots are well-formed SVG whatever the names and values.
@Suite struct LinePlotTests {
  /// The element names of the plot, or `nil` when it is no XML.
  private func elements(_ plot: LinePlot) -> [String]? {
    final class Reader: NSObject, XMLParserDelegate {
      var names: [String] = []
      func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
      ) { names.append(name) }
    }
    let reader = Reader(), parser = XMLParser(data: Data(plot.svg.utf8))
    parser.delegate = reader
    return parser.parse() ? reader.names : nil
  }

  private func plot(_ curves: [LinePlot.Curve]) -> LinePlot {
    LinePlot(
      title: "a < b & \"c\"", subtitle: "<x>", xAxis: .init(title: "x"), yAxis: .init(title: "y"), curves: curves)
  }

  @Test("names with signs of XML do no harm, and every curve is drawn")
  func names() throws {
    let curves = (0..<12).map { LinePlot.Curve(name: "<\($0)&>", points: [(0, 0), (1, Double($0))]) }
    let names = try #require(elements(plot(curves)))
    #expect(names.first == "svg")
    #expect(names.count { $0 == "polyline" } == 12)
  }

  @Test("no curve, no point and one point still make a picture", arguments: [0, 1, 2])
  func edges(count: Int) {
    let points = Array([(x: 3.0, y: 4.0)].prefix(max(0, count - 1)))
    #expect(elements(plot(count == 0 ? [] : [.init(name: "c", points: points)])) != nil)
  }
}
