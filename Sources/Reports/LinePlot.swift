/// A plot of curves as a self-contained SVG picture that reads on light and on dark ground.
struct LinePlot {
  struct Curve {
    var name: String
    var points: [(x: Double, y: Double)]
  }

  struct Axis {
    var title: String
    /// The smallest range that is shown; grown to hold all points.
    var range: ClosedRange<Double>?
  }

  var title: String
  var subtitle: String
  var xAxis: Axis
  var yAxis: Axis
  var curves: [Curve]

  private static let size = (width: 860.0, height: 480.0)
  private static let plot = (left: 78.0, right: 640.0, top: 64.0, bottom: 420.0)
  /// Okabe and Ito's colours, which most colour-blind people can tell apart.
  private static let colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f7f", "#b3a100"]

  var svg: String {
    let x = Scale(curves.flatMap { $0.points.map(\.x) }, least: xAxis.range, from: Self.plot.left, to: Self.plot.right)
    let y = Scale(curves.flatMap { $0.points.map(\.y) }, least: yAxis.range, from: Self.plot.bottom, to: Self.plot.top)
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.size.width)) \(Int(Self.size.height))" \
      font-family="system-ui, sans-serif" font-size="13">
      <style>.ink{fill:#1f2328}.soft{fill:#59636e}.line{stroke:#d1d9e0}.page{fill:#fff}\
      @media (prefers-color-scheme:dark){.ink{fill:#f0f6fc}.soft{fill:#9198a1}.line{stroke:#3d444d}.page{fill:#0d1117}}</style>
      <rect class="page" width="100%" height="100%"/>
      <text class="ink" x="\(Self.plot.left)" y="28" font-size="18" font-weight="600">\(title.escaped)</text>
      <text class="soft" x="\(Self.plot.left)" y="48">\(subtitle.shortened(to: 90).escaped)</text>
      """
    ]
    for tick in y.ticks {
      let place = Numbers.fixed(y.place(tick), 1)
      parts.append(
        "<line class=\"line\" x1=\"\(Self.plot.left)\" x2=\"\(Self.plot.right)\" y1=\"\(place)\" y2=\"\(place)\"/>")
      parts.append(
        "<text class=\"soft\" x=\"\(Self.plot.left - 8)\" y=\"\(place)\" text-anchor=\"end\" dominant-baseline=\"middle\">\(Numbers.short(tick))</text>"
      )
    }
    for tick in x.ticks {
      parts.append(
        "<text class=\"soft\" x=\"\(Numbers.fixed(x.place(tick), 1))\" y=\"\(Self.plot.bottom + 20)\" text-anchor=\"middle\">\(Numbers.short(tick))</text>"
      )
    }
    let middle = (Self.plot.left + Self.plot.right) / 2, height = (Self.plot.top + Self.plot.bottom) / 2
    parts.append(
      "<text class=\"soft\" x=\"\(middle)\" y=\"\(Self.plot.bottom + 44)\" text-anchor=\"middle\">\(xAxis.title.escaped)</text>"
    )
    parts.append(
      "<text class=\"soft\" transform=\"translate(22 \(height)) rotate(-90)\" text-anchor=\"middle\">\(yAxis.title.escaped)</text>"
    )
    for (index, curve) in curves.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      // Past the palette's end the line is dashed, so that no two curves look alike.
      let dash = index < Self.colours.count ? "" : " stroke-dasharray=\"\(6 - index / Self.colours.count) 3\""
      let points = curve.points.map { "\(Numbers.fixed(x.place($0.x), 1)),\(Numbers.fixed(y.place($0.y), 1))" }.joined(
        separator: " ")
      parts.append("<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"\(dash) points=\"\(points)\"/>")
      guard curves.count > 1, index < 20 else { continue }
      let line = Self.plot.top + 8 + 18 * Double(index)
      parts.append(
        "<line x1=\"660\" x2=\"684\" y1=\"\(line)\" y2=\"\(line)\" stroke=\"\(colour)\" stroke-width=\"2\"\(dash)/>")
      parts.append(
        "<text class=\"ink\" x=\"692\" y=\"\(line)\" dominant-baseline=\"middle\">\(curve.name.shortened(to: 22).escaped)</text>"
      )
    }
    return parts.joined(separator: "\n") + "\n</svg>\n"
  }

  /// From values to places on the page.
  private struct Scale {
    private let low: Double, high: Double, from: Double, to: Double

    init(_ values: [Double], least: ClosedRange<Double>?, from: Double, to: Double) {
      let finite = values.filter(\.isFinite)
      low = min(0, finite.min() ?? 0, least?.lowerBound ?? 0)
      let top = max(finite.max() ?? 1, least?.upperBound ?? 0)
      high = top > low ? top : low + 1
      (self.from, self.to) = (from, to)
    }

    func place(_ value: Double) -> Double { from + (value - low) / (high - low) * (to - from) }

    /// Round numbers, four to ten of them.
    var ticks: [Double] {
      var step = 1.0
      while step * 10 <= high - low { step *= 10 }
      while step > high - low { step /= 10 }
      if (high - low) / step < 2 { step /= 5 } else if (high - low) / step < 5 { step /= 2 }
      let first = Int((low / step).rounded(.up)), last = Int((high / step).rounded(.down))
      return (first...max(first, last)).map { Double($0) * step }
    }
  }
}

extension String {
  /// Safe inside XML text.
  fileprivate var escaped: String {
    replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing(
      "\"", with: "&quot;")
  }
}
