public import Factoring
public import JSON
import Tensors

/// What every size would cost in error.
public struct CurveReport: JSONReport {
  public static let schema = "lathe.resize-curve/1"

  struct Point: Encodable, Sendable {
    var bytes: Int
    var relativeError: Double
    /// What the ranks were chosen by, where that is not the error in the weights.
    var weightedRelativeError: Double?
    var energy: Double
    var components: Int
    var targets: Int
  }

  let file: String
  let points: [Point]

  /// - Parameters:
  ///   - file: path of the adapter.
  ///   - curve: from the smallest file to the full one.
  public init(file: String, _ curve: [RankAllocation]) {
    self.file = file
    points = curve.map { step in
      Point(
        bytes: step.bytes, relativeError: step.relativeError, weightedRelativeError: step.weighted?.relativeError,
        energy: 1 - step.relativeError * step.relativeError,
        components: step.ranks.reduce(0, +), targets: step.ranks.count { $0 > 0 })
    }
  }

  /// A table with a line for each size.
  ///
  /// - Parameter width: of the terminal, in characters.
  public func text(width: Int) -> String {
    let isWeighed = points.contains { $0.weightedRelativeError != nil }
    var table = TextTable(
      columns: [.number("size"), .number("bytes"), .number("relative error")]
        + (isWeighed ? [.number("weighted error")] : [])
        + [.number("energy kept"), .number("components"), .number("targets")])
    for point in points {
      table.rows.append(
        [ByteCount(point.bytes).description, Numbers.grouped(point.bytes), Numbers.short(point.relativeError)]
          + (isWeighed ? [point.weightedRelativeError.map(Numbers.short) ?? "–"] : [])
          + [Numbers.percent(point.energy), String(point.components), String(point.targets)])
    }
    return ([file, "Size of the file against relative error, before rounding.", ""] + table.lines(width: width)).joined(
      separator: "\n") + "\n"
  }

  /// The relative error, from 0 to 1, over the size of the file in units of 10⁶ bytes.
  public var svg: String {
    LinePlot(
      title: "Size against error", subtitle: file, xAxis: .init(title: "file size, MB"),
      yAxis: .init(title: "relative error", range: 0...1),
      curves: [.init(name: "relative error", points: points.map { (Double($0.bytes) / 1e6, $0.relativeError) })]
    ).svg
  }
}
