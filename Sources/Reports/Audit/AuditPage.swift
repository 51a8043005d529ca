import Audit
import Files
import FoundationEssentials
import Models
import Mustache
import Tensors

extension AuditFormat {
  /// The one for people.
  public static let page = AuditFormat("report.html") { try $0.html(pictures: $1) }
}

extension AuditReport {
  /// The report as one HTML page that needs no other file and no network.
  ///
  /// It reads on light and dark ground, on a telephone and on paper, and without its script, which only moves the
  /// sliders and sorts the table.
  ///
  /// - Parameter pictures: the bytes of the PNG files that the report names, by their paths in the report. A picture
  ///   that is not among them, or is no PNG, is named where it would stand.
  /// - Throws: an error of the template's parser; none of data.
  public func html(pictures: [String: [UInt8]]) throws -> String {
    MustacheContentTypes.register(Markup(), named: "MARKUP")
    let template = try MustacheTemplate(string: String(decoding: PackageResources.audit_mustache, as: UTF8.self))
    return template.render(AuditPage(self, pictures: pictures))
  }
}

/// By `String.escaped`: mustache's own rule goes by characters, and leaves a quotation mark with an accent as it is.
private struct Markup: MustacheContentType {
  func escapeText(_ text: String) -> String { text.escaped }
}

/// What stands in the page's template, under the names that it has there.
///
/// The template looks for a name that something lacks in what is around it, so a name means one thing everywhere, and
/// what may be missing is a list of none or one.
struct AuditPage {
  struct Part {
    var id: String
    var heading: String
  }

  struct Side {
    var role: String
    var label: String
    var lines: [String]
  }

  /// How a verdict looks: by colour, by shape and in words.
  struct Look {
    var tone: String
    var isGood: Bool
    var isFair: Bool
    var isBad: Bool

    init(_ verdict: String) {
      tone =
        switch AuditVerdict(rawValue: verdict) {
        case .withinNoise: "good"
        case .visibleButSmall: "fair"
        case .different, nil: "bad"
        }
      (isGood, isFair, isBad) = (tone == "good", tone == "fair", tone == "bad")
    }
  }

  let css = String(decoding: PackageResources.audit_css, as: UTF8.self)
  let script = String(decoding: PackageResources.audit_js, as: UTF8.self)
  /// The only script that a browser may run on this page, whatever else gets into it.
  let scriptHash: String

  let verdict: String
  let look: Look
  let tally: String
  let summary: String
  let reasons: [[String]]
  let sides: [Side]
  let parts: [Part]
  let checks: [[CheckItem]]
  let notMeasured: [[String]]
  let warnings: [[String]]
  let pictureGroups: [[PictureGroup]]
  let nulls: [[NullItem]]
  let metricTitles = Metric.all.map(\.title)
  let probe: [ProbeTable]
  let spectra: [[SpectrumPanel]]
  let curve: [CurvePlot]
  let heat: [HeatPart]
  let crossTalk: [CrossTalkMatrix]
  let costs: [[CostRow]]
  let targets: [TargetTable]
  let recipe: RecipePart
  let footer: String

  init(_ report: AuditReport, pictures: [String: [UInt8]]) {
    let album = PictureAlbum(pictures)
    scriptHash = Self.hash(PackageResources.audit_js)
    verdict = report.verdict
    look = Look(report.verdict)
    tally = report.tally
    summary = report.summary
    reasons = Self.list(report.reasons)
    sides = Self.sides(report.recipe)
    checks = Self.list(CheckItem.all(report.checks))
    notMeasured = Self.list(report.notMeasured)
    warnings = Self.list(report.warnings)
    pictureGroups = Self.list(PictureGroup.all(report.pictures, report.recipe, album))
    nulls = Self.list(report.nulls.filter { !$0.rows.isEmpty }.map { NullItem($0, album) })
    probe = report.probe.map { [ProbeTable($0)] } ?? []
    spectra = Self.list(SpectrumPanel.all(report.spectra))
    curve = report.curve.map { [CurvePlot($0)] } ?? []
    let weights = report.weights.flatMap { $0.targets.isEmpty ? nil : $0 }
    heat = weights.map { [HeatPart($0)] } ?? []
    crossTalk = report.crossTalk.isEmpty ? [] : [CrossTalkMatrix(report.crossTalk)]
    costs = Self.list(report.costs.map(CostRow.init))
    targets = weights.map { [TargetTable($0)] } ?? []
    recipe = RecipePart(report.recipe)
    footer = "Made by Lathe \(report.recipe.version) in \(Self.time(report.seconds)). This page holds all it shows."
    let present: [(String, String, Bool)] = [
      ("checks", "Checks", checks.isEmpty), ("not-measured", "Not measured", notMeasured.isEmpty),
      ("warnings", "Warnings", warnings.isEmpty), ("pictures", "Pictures", pictureGroups.isEmpty),
      ("nulls", "Harmless changes", nulls.isEmpty), ("prediction", "Noise prediction", probe.isEmpty),
      ("spectra", "Singular values", spectra.isEmpty), ("curve", "Size and error", curve.isEmpty),
      ("layers", "Error by layer", heat.isEmpty), ("cross-talk", "Cross-talk", crossTalk.isEmpty),
      ("cost", "Cost", costs.isEmpty), ("targets", "Targets", targets.isEmpty), ("recipe", "Recipe", false),
    ]
    parts = present.filter { !$0.2 }.map { Part(id: $0.0, heading: $0.1) }
  }

  /// A list as a section of the template: left out with its heading when it is empty.
  private static func list<Item>(_ items: [Item]) -> [[Item]] { items.isEmpty ? [] : [items] }

  /// SHA-256 as browsers want it: base64.
  private static func hash(_ bytes: [UInt8]) -> String {
    let digits = Array(bytes.withUnsafeBytes { ContentHash.sha256($0) }.utf8)
    let digest = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)!
    }
    return Data(digest).base64EncodedString()
  }

  private static func sides(_ recipe: AuditReport.Recipe) -> [Side] {
    func lines(_ side: AuditReport.Side) -> [String] {
      let adapters = side.adapters.map { adapter in
        "\(adapter.file.path) at \(adapter.strengths): \(adapter.fitting) of \(adapter.targets) targets, "
          + ByteCount(adapter.file.bytes).description
      }
      return adapters + side.checkpoint.map { "\($0.path), \(ByteCount($0.bytes))" }
    }
    return [
      Side(role: "before", label: recipe.before.label, lines: lines(recipe.before)),
      Side(role: "after", label: recipe.after.label, lines: lines(recipe.after)),
      Side(role: "base", label: recipe.family, lines: recipe.base.map { "\($0.path), \(ByteCount($0.bytes))" }),
    ]
  }

  /// Four digits, and the sign of infinity.
  static func number(_ value: Double) -> String {
    value.isInfinite ? (value < 0 ? "−∞" : "∞") : value.isNaN ? "NaN" : Numbers.short(value)
  }

  static func percent(_ share: Double) -> String { share.isFinite ? Numbers.percent(share) : number(share) }

  static func time(_ seconds: Double) -> String {
    seconds < 120 ? "\(Numbers.short(seconds)) s" : "\(Numbers.fixed(seconds / 60, 1)) min"
  }
}

extension AuditReport {
  /// How many checks pass, as a sentence.
  var tally: String {
    let failing = checks.count { !$0.pass }
    guard !checks.isEmpty else { return passed ? "passed; nothing was checked" : "failed; nothing was checked" }
    let all = checks.count == 1 ? "the only check passes" : "all \(checks.count) checks pass"
    return failing == 0
      ? all : "\(failing) of \(checks.count) check\(checks.count == 1 ? "" : "s") fail\(failing == 1 ? "s" : "")"
  }
}

extension AuditReport.Adapter {
  /// `0.8`, or `0.8, text encoder 0.5`.
  var strengths: String {
    Numbers.short(strength)
      + (textEncoderStrength == strength ? "" : ", text encoder \(Numbers.short(textEncoderStrength))")
  }
}
