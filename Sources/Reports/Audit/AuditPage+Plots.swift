import Tensors

extension AuditPage {
  /// What the denoiser predicts, prompt by prompt.
  struct ProbeTable {
    var probeSize: String
    var overall: String
    var overallEffect: String
    var overallNull: String
    var groups: [Group]

    struct Group {
      var probePrompt: String
      var rows: [Row]
    }

    struct Row {
      var time: String
      var relative: String
      /// The bar's length and the harmless change's place on it.
      var width: String
      var nullAt: String
      var ofNull: String
      var effect: String
    }

    init(_ probe: AuditReport.Probe) {
      probeSize = probe.size
      (overall, overallEffect) = (percent(probe.relativeError), percent(probe.effectError))
      overallNull = percent(probe.null)
      let most = probe.rows.flatMap { [$0.relativeError, $0.null] }.filter(\.isFinite).max() ?? 0
      func place(_ value: Double) -> String {
        Numbers.fixed(value.isFinite && most > 0 ? 100 * value / most : 0, 1) + "%"
      }
      var order: [String] = [], rows: [String: [Row]] = [:]
      for row in probe.rows {
        if rows[row.prompt] == nil { order.append(row.prompt) }
        rows[row.prompt, default: []].append(
          Row(
            time: Numbers.short(row.time), relative: percent(row.relativeError),
            width: place(row.relativeError), nullAt: place(row.null), ofNull: percent(row.null),
            effect: percent(row.effectError)))
      }
      groups = order.map { Group(probePrompt: $0, rows: rows[$0]!) }
    }
  }

  /// The singular values of one block.
  struct SpectrumPanel {
    var panelTitle: String
    var panel: String

    /// All on one scale, so that they can be compared.
    static func all(_ spectra: [AuditReport.BlockSpectrum]) -> [SpectrumPanel] {
      let values = spectra.flatMap { $0.before + $0.after }.filter { $0.isFinite && $0 > 0 }
      let high = values.max() ?? 1
      // What is smaller than this share of the largest is rounding.
      let low = max(values.min() ?? high / 10, high * 1e-4)
      return spectra.map { spectrum in
        func points(_ values: [Double]) -> [(x: Double, y: Double)] {
          values.enumerated().filter { $0.element >= low }.map { (Double($0.offset + 1), $0.element) }
        }
        let plot = LinePlot(
          title: "Singular values of \(spectrum.block), before and after", xAxis: .init(title: ""),
          yAxis: .init(title: "", range: low...high, isLogarithmic: true),
          curves: [
            .init(name: "before", points: points(spectrum.before), style: "curve-before"),
            .init(name: "after", points: points(spectrum.after), style: "curve-after"),
          ], frame: .panel)
        return SpectrumPanel(panelTitle: spectrum.block, panel: plot.svg)
      }
    }
  }

  /// File size against relative error.
  struct CurvePlot {
    var plot: String
    var place: String

    init(_ curve: AuditReport.Curve) {
      func megabytes(_ point: AuditReport.Curve.Point) -> Double { Double(point.bytes) / 1e6 }
      plot =
        LinePlot(
          title: "File size against relative error", xAxis: .init(title: "file size, MB"),
          yAxis: .init(title: "relative error"),
          curves: [
            .init(
              name: "best resize", points: curve.points.map { (megabytes($0), $0.relativeError) },
              style: "curve-before")
          ],
          marks: [
            .init(
              name: "before", x: megabytes(curve.before), y: curve.before.relativeError, style: "mark-before"),
            .init(name: "after", x: megabytes(curve.after), y: curve.after.relativeError, style: "mark-after"),
          ], frame: .part
        ).svg
      place =
        "After: \(ByteCount(curve.after.bytes)) with a relative error of \(percent(curve.after.relativeError)). "
        + "Before: \(ByteCount(curve.before.bytes))."
    }
  }

  /// Who disturbs whom.
  struct CrossTalkMatrix {
    var heads: [Int]
    var rows: [Row]

    struct Row {
      var index: Int
      var sourceName: String
      var cells: [Cell]
    }

    struct Cell {
      var isEmpty: Bool
      var isMuch: Bool
      var output: String
      var input: String
      var cosine: String
    }

    /// From here on two adapters are seen to mix.
    private static let much = 0.3

    init(_ pairs: [AuditReport.CrossTalk]) {
      var names: [String] = []
      for pair in pairs {
        for name in [pair.source, pair.target] where !names.contains(name) { names.append(name) }
      }
      heads = Array(1...names.count)
      rows = names.enumerated().map { index, source in
        Row(
          index: index + 1, sourceName: source,
          cells: names.map { target in
            guard let pair = pairs.first(where: { $0.source == source && $0.target == target }) else {
              return Cell(isEmpty: true, isMuch: false, output: "", input: "", cosine: "")
            }
            return Cell(
              isEmpty: false, isMuch: !(max(pair.output, pair.input) < Self.much),
              output: Numbers.fixed(pair.output, 2), input: Numbers.fixed(pair.input, 2),
              cosine: pair.cosine.map { Numbers.fixed($0, 3) } ?? "–")
          })
      }
    }
  }
}
