import Tensors

/// A plot of curves as SVG that reads on light and on dark ground: a picture of its own, or a part of a page.
struct LinePlot {
  struct Curve {
    var name: String
    var points: [(x: Double, y: Double)]
    /// A class of the page's style sheet, which then colours the curve.
    var style: String?
  }

  struct Axis {
    var title: String
    /// The smallest range that is shown; grown to hold all points.
    var range: ClosedRange<Double>?
    /// Whether equal steps are equal factors.
    var isLogarithmic = false
  }

  /// A point that stands out, with its name beside it.
  struct Mark {
    var name: String
    var x: Double
    var y: Double
    /// A class of the page's style sheet.
    var style: String
  }

  /// Where things stand, in pixels.
  struct Frame: Sendable {
    var width: Double
    var height: Double
    var left: Double
    var right: Double
    var top: Double
    var bottom: Double
    /// How many ticks an axis has room for.
    var most = 10
    /// Whether it is part of a page, which gives its colours, its title and its legend.
    var isPart: Bool

    static let picture = Frame(
      width: 860, height: 480, left: 78, right: 640, top: 64, bottom: 420, isPart: false)
    static let part = Frame(width: 720, height: 360, left: 70, right: 700, top: 16, bottom: 300, isPart: true)
    /// One of many small ones.
    static let panel = Frame(
      width: 260, height: 150, left: 44, right: 252, top: 8, bottom: 122, most: 5, isPart: true)
  }

  var title: String
  var subtitle = ""
  var xAxis: Axis
  var yAxis: Axis
  var curves: [Curve]
  var marks: [Mark] = []
  var frame = Frame.picture

  /// Okabe and Ito's colours, which most colour-blind people can tell apart.
  private static let colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f7f", "#b3a100"]

  var svg: String {
    let xs = curves.flatMap { $0.points.map(\.x) } + marks.map(\.x)
    let ys = curves.flatMap { $0.points.map(\.y) } + marks.map(\.y)
    let x = PlotScale(
      xs, least: xAxis.range, isLogarithmic: xAxis.isLogarithmic, from: frame.left, to: frame.right)
    let y = PlotScale(
      ys, least: yAxis.range, isLogarithmic: yAxis.isLogarithmic, from: frame.bottom, to: frame.top)
    var parts = head + axes(x, y)
    for index in curves.indices { parts += lines(index, x, y) }
    var places: [(x: Double, y: Double)] = []
    for mark in marks where x.holds(mark.x) && y.holds(mark.y) {
      let place = (x: x.place(mark.x), y: y.place(mark.y))
      // Names of neighbours stand above each other.
      let level = places.count { abs($0.x - place.x) < 60 && abs($0.y - place.y) < 16 }
      parts += lines(mark, at: place, level: level)
      places.append(place)
    }
    return parts.joined(separator: "\n") + "\n</svg>\n"
  }

  private var head: [String] {
    let box = "viewBox=\"0 0 \(Int(frame.width)) \(Int(frame.height))\""
    if frame.isPart {
      return [
        "<svg \(box) width=\"\(Int(frame.width))\" height=\"\(Int(frame.height))\" role=\"img\""
          + " aria-label=\"\(title.escaped)\">"
      ]
    }
    return [
      """
      <svg xmlns="http://www.w3.org/2000/svg" \(box) font-family="system-ui, sans-serif" font-size="13">
      <style>.ink{fill:#1f2328}.soft{fill:#59636e}.line{stroke:#d1d9e0}.page{fill:#fff}\
      @media (prefers-color-scheme:dark){.ink{fill:#f0f6fc}.soft{fill:#9198a1}.line{stroke:#3d444d}.page{fill:#0d1117}}</style>
      <rect class="page" width="100%" height="100%"/>
      <text class="ink" x="\(frame.left)" y="28" font-size="18" font-weight="600">\(title.escaped)</text>
      <text class="soft" x="\(frame.left)" y="48">\(subtitle.shortened(to: 90).escaped)</text>
      """
    ]
  }

  private func axes(_ x: PlotScale, _ y: PlotScale) -> [String] {
    var parts: [String] = []
    for tick in y.ticks(most: frame.most) {
      let place = Numbers.fixed(y.place(tick), 1)
      parts.append("<line class=\"line\" x1=\"\(frame.left)\" x2=\"\(frame.right)\" y1=\"\(place)\" y2=\"\(place)\"/>")
      parts.append(
        "<text class=\"soft\" x=\"\(frame.left - 8)\" y=\"\(place)\" text-anchor=\"end\" dominant-baseline=\"middle\">\(Numbers.short(tick))</text>"
      )
    }
    for tick in x.ticks(most: frame.most) {
      parts.append(
        "<text class=\"soft\" x=\"\(Numbers.fixed(x.place(tick), 1))\" y=\"\(frame.bottom + 20)\" text-anchor=\"middle\">\(Numbers.short(tick))</text>"
      )
    }
    let middle = (frame.left + frame.right) / 2, height = (frame.top + frame.bottom) / 2
    if !xAxis.title.isEmpty {
      parts.append(
        "<text class=\"soft\" x=\"\(middle)\" y=\"\(frame.bottom + 44)\" text-anchor=\"middle\">\(xAxis.title.escaped)</text>"
      )
    }
    if !yAxis.title.isEmpty {
      parts.append(
        "<text class=\"soft\" transform=\"translate(22 \(height)) rotate(-90)\" text-anchor=\"middle\">\(yAxis.title.escaped)</text>"
      )
    }
    return parts
  }

  private func lines(_ index: Int, _ x: PlotScale, _ y: PlotScale) -> [String] {
    let curve = curves[index]
    let colour = Self.colours[index % Self.colours.count]
    // Past the palette's end the line is dashed, so that no two curves look alike.
    let dash = index < Self.colours.count ? "" : " stroke-dasharray=\"\(6 - index / Self.colours.count) 3\""
    let look =
      curve.style.map { "class=\"\($0.escaped)\"" } ?? "fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"\(dash)"
    var places: [(x: Double, y: Double)] = []
    for (number, point) in curve.points.enumerated() where x.holds(point.x) && y.holds(point.y) {
      let place = (x: x.place(point.x), y: y.place(point.y))
      // Thousands of points would stand on one pixel.
      if let last = places.last, number < curve.points.count - 1,
        abs(place.x - last.x) < 0.4, abs(place.y - last.y) < 0.4
      {
        continue
      }
      places.append(place)
    }
    let points = places.map { "\(Numbers.fixed($0.x, 1)),\(Numbers.fixed($0.y, 1))" }.joined(separator: " ")
    var parts = ["<polyline \(look) points=\"\(points)\"/>"]
    if let only = places.first, places.count == 1, let style = curve.style {
      parts = ["<circle class=\"\(style.escaped)\" cx=\"\(only.x)\" cy=\"\(only.y)\" r=\"3\"/>"]
    }
    guard !frame.isPart, curves.count > 1, index < 20 else { return parts }
    let line = frame.top + 8 + 18 * Double(index)
    parts.append(
      "<line x1=\"660\" x2=\"684\" y1=\"\(line)\" y2=\"\(line)\" stroke=\"\(colour)\" stroke-width=\"2\"\(dash)/>")
    parts.append(
      "<text class=\"ink\" x=\"692\" y=\"\(line)\" dominant-baseline=\"middle\">\(curve.name.shortened(to: 22).escaped)</text>"
    )
    return parts
  }

  private func lines(_ mark: Mark, at place: (x: Double, y: Double), level: Int) -> [String] {
    let isFarRight = place.x > (frame.left + frame.right) / 2
    // Above the point, so that the curve does not cross the name.
    return [
      "<circle class=\"\(mark.style.escaped)\" cx=\"\(Numbers.fixed(place.x, 1))\" cy=\"\(Numbers.fixed(place.y, 1))\" r=\"6\"/>",
      "<text class=\"ink\" x=\"\(Numbers.fixed(place.x + (isFarRight ? 2 : 8), 1))\" y=\"\(Numbers.fixed(max(place.y - 12 - 16 * Double(level), frame.top + 8), 1))\" text-anchor=\"\(isFarRight ? "end" : "start")\">\(mark.name.escaped)</text>",
    ]
  }
}
