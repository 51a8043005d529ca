public import Adapters
public import JSON
public import Loaders
import Models
public import Spectra
import Tensors

/// What an adapter file holds.
public struct InspectReport: JSONReport {
  public static let schema = "lathe.inspect/1"

  struct Hashes: Encodable, Sendable {
    @Explicit var sha256: String? = nil
    @Explicit var autov2: String? = nil
    @Explicit var autov3: String? = nil
  }

  struct TargetRow: Encodable, Sendable {
    var name: String
    /// The base weight it changes; `null` until a base checkpoint is looked at.
    @Explicit var baseKey: String? = nil
    var kind: String
    var shape: [Int]
    @Explicit var rank: Int? = nil
    @Explicit var alpha: Double? = nil
    @Explicit var scale: Double? = nil
    var dtype: String
    @Explicit var norm: Double? = nil
  }

  struct Tag: Encodable, Sendable {
    var tag: String
    var count: Int
  }

  /// Path of the adapter: a file, or a folder as PEFT writes it.
  public let file: String
  let format: String
  /// The program that trained it, or whose form it has; `null` where nothing tells.
  @Explicit var program: String?
  let family: String
  let parameters: Int
  let bytes: Int
  let hashes: Hashes
  let metadata: [String: String]
  let tags: [Tag]
  let problems: [String]
  let targets: [TargetRow]
  let passedThrough: [String]
  /// What each loader would multiply the factors by, when that was asked for.
  let loaders: LoadersReport?

  /// Whether the file is broken, rather than only odd.
  public let hasFatalProblem: Bool
  private let problemGroups: [String]
  private let readsWeights: Bool
  private let needsBase: Bool

  private enum CodingKeys: String, CodingKey {
    case file, format, program, family, parameters, bytes, hashes, metadata, tags, problems, targets, passedThrough,
      loaders
  }

  /// - Parameters:
  ///   - hashes: when the whole file was read.
  ///   - survey: when the weights were read.
  ///   - loaders: when it was asked what they make of the file.
  ///   - hint: what to try about a kind of problem.
  public init(
    _ adapter: Adapter, hashes: AdapterHashes?, survey: WeightSurvey?, loaders: LoaderScales? = nil,
    hint: (AdapterProblem.Kind) -> String? = { _ in nil }
  ) {
    file = adapter.path
    format = adapter.format.rawValue
    program = adapter.program
    family = adapter.family.name
    parameters = adapter.parameterCount
    bytes = adapter.byteCount
    self.hashes = Hashes(sha256: hashes?.sha256, autov2: hashes?.autoV2, autov3: hashes?.autoV3)
    metadata = Dictionary(adapter.metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    tags = TrainingMetadata(adapter).tags.map { Tag(tag: $0.tag, count: $0.count) }
    passedThrough = adapter.passedThrough.map(\.name) + adapter.frozen.map(\.name)
    let norms = survey?.norms
    readsWeights = survey != nil
    targets =
      adapter.targets.enumerated().map { index, target in
        TargetRow(
          name: target.name, kind: target.algorithm == .lora ? target.kind.rawValue : target.algorithm.rawValue,
          shape: target.shape.extents, rank: target.storedRank,
          alpha: target.alpha,
          scale: target.scale, dtype: target.dtype.rawValue, norm: norms?[index] ?? nil)
      }
      + adapter.dependents.filter { !$0.isOptional }.map { target in
        TargetRow(
          name: target.name, kind: target.algorithm.rawValue, shape: [], rank: target.rank, alpha: target.alpha,
          dtype: target.dtype.rawValue)
      }
      + adapter.unsupported.map { target in
        TargetRow(name: target.name, kind: target.algorithm.rawValue, shape: [], dtype: target.dtype.rawValue)
      }
    // That a delta depends on the base is no fault of the file.
    var problems = adapter.problems.filter { !$0.dependsOnBase }
    needsBase = !adapter.dependents.isEmpty
    problems += survey?.problems ?? []
    problems += loaders?.problems(in: adapter) ?? []
    self.loaders = loaders.map(LoadersReport.init)
    if let stale = hashes?.staleHash(in: adapter) { problems.append(stale) }
    self.problems = problems.map { $0.description(hint: hint) }
    problemGroups = AdapterProblem.grouped(problems, hint: hint)
    hasFatalProblem = problems.contains { problem in
      // An algorithm that is not supported yet is no fault of the file.
      if case .unsupported = problem.kind { return false }
      return problem.isFatal
    }
  }

  // MARK: Text

  /// - Parameters:
  ///   - width: of the terminal, in characters.
  ///   - showsTargets: whether each target gets a line.
  public func text(width: Int, showsTargets: Bool, hints: ReportHints = .none) -> String {
    var lines = [file]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 12) + value) }
    row("family", family)
    row("format", format)
    if let program { row("written by", program) }
    row("targets", targetSummary)
    if needsBase {
      row("needs", "the base\(hints.aside(.needsBase)): what its targets add depends on the weights that they change")
    }
    row("ranks", histogram(targets.compactMap { $0.rank.map(String.init) }))
    row("scales", histogram(targets.compactMap { $0.scale.map(Numbers.short) }))
    for (index, line) in (loaders?.lines ?? []).enumerated() {
      row(index == 0 ? "loaders" : "", line.loader.padded(to: 12) + line.text)
    }
    row("dtypes", histogram(targets.map(\.dtype)))
    row("parameters", Numbers.grouped(parameters))
    row("bytes", "\(Numbers.grouped(bytes)) (\(ByteCount(bytes)))")
    if let sha256 = hashes.sha256 {
      row("sha256", sha256)
      row("autov2", hashes.autov2 ?? "")
      row("autov3", hashes.autov3 ?? "none: not a safetensors file")
    }
    for key in Self.notableMetadata {
      if let value = metadata[key], value != "None" { row(Self.label(key), value.shortened(to: max(20, width - 14))) }
    }
    let rest = metadata.keys.filter { !Self.notableMetadata.contains($0) }
    if !rest.isEmpty { row("metadata", "\(rest.count) more entries\(hints.aside(.someMetadata))") }
    if !tags.isEmpty {
      row(
        "tags",
        tags.prefix(10).map { "\($0.tag) (\($0.count))" }.joined(separator: ", ").shortened(to: max(20, width - 14)))
    }
    if !passedThrough.isEmpty { row("also holds", "\(passedThrough.count) tensors that are copied as they are") }
    lines += problemLines(showsAll: showsTargets, hints)
    if showsTargets { lines += targetTable.lines(width: width) }
    return lines.joined(separator: "\n") + "\n"
  }

  private static let notableMetadata = [
    "ss_output_name", "ss_base_model_version", "ss_sd_model_name", "ss_network_module", "ss_num_train_images",
    "ss_steps", "ss_training_comment",
  ]

  private static func label(_ key: String) -> String {
    [
      "ss_output_name": "name", "ss_base_model_version": "base", "ss_sd_model_name": "trained on",
      "ss_network_module": "module",
      "ss_num_train_images": "images", "ss_steps": "steps", "ss_training_comment": "comment",
    ][key]!
  }

  private var targetSummary: String {
    "\(targets.count): " + histogram(targets.map(\.kind))
  }

  /// `8 × 128, 4 × 12`: the values with how often they occur, most frequent first.
  private func histogram(_ values: [String]) -> String {
    var counts: [String: Int] = [:]
    for value in values { counts[value, default: 0] += 1 }
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let shown = sorted.prefix(6).map { counts.count == 1 ? $0.key : "\($0.key) (\($0.value)×)" }
    return shown.joined(separator: ", ") + (sorted.count > 6 ? ", … \(sorted.count) in all" : "")
  }

  private func problemLines(showsAll: Bool, _ hints: ReportHints) -> [String] {
    guard !problems.isEmpty else {
      return ["  problems    none found" + (readsWeights ? "" : hints.aside(.weightsNotRead))]
    }
    return ["  problems"] + (showsAll ? problems : problemGroups).map { "    ! \($0)" }
  }

  private var targetTable: TextTable {
    var table = TextTable(
      .name("target"), .word("kind"), .word("shape"), .number("rank"), .number("alpha"), .number("scale"),
      .word("dtype"), .number("norm"))
    for target in targets {
      table.add(
        target.name, target.kind, target.shape.map(String.init).joined(separator: "×"),
        target.rank.map(String.init) ?? "–",
        target.alpha.map(Numbers.short) ?? "–", target.scale.map(Numbers.short) ?? "–", target.dtype,
        target.norm.map(Numbers.short) ?? "–")
    }
    return table
  }
}

extension String {
  func padded(to count: Int) -> String { self + String(repeating: " ", count: max(0, count - self.count)) }
}
