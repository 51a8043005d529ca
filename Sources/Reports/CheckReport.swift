public import Adapters
public import Baking
public import JSON
import Models

/// Whether an adapter fits a base checkpoint.
public struct CheckReport: JSONReport {
  public static let schema = "lathe.check/1"

  struct Row: Encodable, Sendable {
    var name: String
    var fits: Bool
    var weights: [String]
    @Explicit var reason: String?
  }

  let adapter: String
  let base: String
  let family: String
  let baseFamily: String
  let fits: Bool
  let resolved: Int
  let missing: Int
  let shapeMismatches: Int
  @Explicit var familyMismatch: String?
  /// What the adapter says it was trained on.
  @Explicit var trainedOn: String?
  let unknown: [String]
  /// What keeps the adapter from being worked on, apart from unknown tensors and algorithms.
  let problems: [String]
  let targets: [Row]
  /// Sentences about what is odd in the adapter or the base and keeps nothing from fitting.
  public let warnings: [String]

  /// - Parameters:
  ///   - spikes: where the weights were read.
  ///   - hint: what to try about a kind of problem.
  public init(_ fit: AdapterFit, spikes: [AdapterProblem] = [], hint: (AdapterProblem.Kind) -> String? = { _ in nil }) {
    let adapter = fit.adapter
    self.adapter = adapter.path
    base = fit.base.path
    family = adapter.family.name
    baseFamily = fit.base.family.name
    problems = AdapterProblem.grouped(
      adapter.problems.filter { $0.isFatal && !Self.isShownElsewhere($0) }, hint: hint)
    fits = fit.isComplete && adapter.unknown.isEmpty && problems.isEmpty
    resolved = fit.fittingCount
    missing = fit.entries.count { if case .missing = $0.finding { true } else { false } }
    shapeMismatches = fit.entries.count { if case .shape = $0.finding { true } else { false } }
    familyMismatch = fit.familyMismatch
    trainedOn = Self.origin(adapter)
    unknown = adapter.unknown
    targets = fit.entries.map {
      Row(
        name: $0.target, fits: $0.finding == .fits, weights: $0.weights,
        reason: $0.finding == .fits ? nil : "\($0.finding)")
    }
    warnings =
      adapter.warnings + fit.notes.map { "\(adapter.path): \($0)" } + Self.embeddings(adapter) + fit.base.warnings
      + AdapterProblem.grouped(spikes, hint: hint).map { "\(adapter.path): \($0)" }
  }

  /// The exit code belongs to the report: everything fits, or not.
  public var isGood: Bool { fits }

  private static func embeddings(_ adapter: Adapter) -> [String] {
    guard let first = adapter.embeddings.first else { return [] }
    let more = adapter.embeddings.count > 1 ? " and \(adapter.embeddings.count - 1) more" : ""
    return ["\(adapter.path): \(first)\(more): a learned embedding has no place in a checkpoint; a bake leaves it out"]
  }

  private static func isShownElsewhere(_ problem: AdapterProblem) -> Bool {
    switch problem.kind {
    case .unsupported, .unknownTensor: true
    default: false
    }
  }

  private static func origin(_ adapter: Adapter) -> String? {
    for key in ["ss_sd_model_name", "base_model", "ss_base_model_version", "modelspec.architecture"] {
      if let value = adapter[metadata: key], !value.isEmpty, value != "None" { return value }
    }
    return adapter.configuration?["base_model_name_or_path"]?.string
  }

  // MARK: Text

  /// A line that says whether it fits, and one for each reason with the first target that it holds for.
  ///
  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each target gets a line, with its weights or the reason why it has none.
  public func text(width: Int, showsTargets: Bool) -> String {
    var lines = [
      fits
        ? "\(adapter) fits \(base): all \(targets.count) targets have their weight"
        : "\(adapter) does not fit \(base): \(resolved) of \(targets.count) targets have their weight"
    ]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 16) + value) }
    if let familyMismatch { row("reason", familyMismatch) }
    row("adapter", family + (trainedOn.map { ", trained on \($0)" } ?? ""))
    row("checkpoint", baseFamily)
    for problem in problems { row("problem", problem) }
    for name in unknown { row("unknown", name) }
    // The same reason for many targets is one line.
    var order: [String] = [], groups: [String: [String]] = [:]
    for target in targets {
      guard let reason = target.reason else { continue }
      if groups[reason] == nil { order.append(reason) }
      groups[reason, default: []].append(target.name)
    }
    for reason in order {
      let names = groups[reason]!
      row(
        "\(names.count) \(names.count == 1 ? "target" : "targets")",
        "\(reason): \(names[0])\(names.count > 1 ? " …" : "")")
    }
    if showsTargets {
      var table = TextTable(.name("target"), .name("weight"))
      for target in targets { table.add(target.name, target.reason ?? target.weights.joined(separator: ", ")) }
      lines += table.lines(width: width)
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
