public import Audit
public import JSON
import Tensors

/// Several ways to merge the same adapters, each looked at beside the adapters as they are.
public struct MergeTrialReport: JSONReport {
  /// The same as that of one merge: a trial has `outputs`.
  public static let schema = "lathe.merge/1"

  /// One way.
  public struct Output: Encodable, Sendable {
    let method: String
    let report: RefactorReport
    let latentError: Double
    let metrics: [String: Double]

    /// - Parameter outcome: of what was written, beside the adapters themselves.
    public init(method: String, _ report: RefactorReport, _ outcome: PictureTrial.Outcome) {
      (self.method, self.report, latentError) = (method, report, outcome.latentError)
      metrics = Dictionary(uniqueKeysWithValues: Metric.all.map { ($0.name, outcome.mean(of: $0)) })
    }

    private enum Keys: String, CodingKey { case trial }
    private struct Trial: Encodable {
      var method: String
      var effectError: Double
      var metrics: [String: Double]
    }

    /// The fields of a merge's report, and what its pictures are like.
    public func encode(to encoder: any Encoder) throws {
      try report.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(
        Trial(method: method, effectError: latentError, metrics: metrics.filter { $0.value.isFinite }), forKey: .trial)
    }
  }

  let outputs: [Output]
  let sheet: String?
  private let pictures: Int
  private enum CodingKeys: String, CodingKey { case outputs, sheet }

  /// - Parameters:
  ///   - outputs: in the order in which they were asked for.
  ///   - pictures: how many of each were compared.
  ///   - sheet: the file with all of them side by side, if there is one.
  public init(_ outputs: [Output], pictures: Int, sheet: String?) {
    (self.outputs, self.pictures, self.sheet) = (outputs, pictures, sheet)
  }

  /// A line for each way.
  public func text(width: Int) -> String {
    let main = Metric.all.prefix(3)
    var table = TextTable(
      columns: [.name("method"), .number("size"), .number("keeps"), .number("latents")]
        + main.map { .number($0.title) })
    for output in outputs {
      let kept = output.report.adapters.map { $0.retention.map { "\(Int((100 * $0).rounded()))" } ?? "–" }
      table.rows.append(
        [
          output.method, "\(ByteCount(output.report.bytes))", kept.joined(separator: " / ") + " %",
          Numbers.short(output.latentError),
        ] + main.map { $0.text(output.metrics[$0.name]!) })
    }
    var lines = table.lines(width: width)
    lines += [
      "",
      "latents: error of the final latents beside the adapters themselves: 0 is the same, 1 as far as the base is. "
        + "\(pictures) pictures each.",
      "Numbers say how near a way is to the sum of the adapters, not which pictures are better: look at them.",
    ]
    if let sheet { lines.append(sheet) }
    return lines.joined(separator: "\n") + "\n"
  }
}
