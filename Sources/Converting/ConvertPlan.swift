public import Adapters
public import Factoring
import FoundationEssentials
public import Models
public import Tensors

/// A conversion resolved against the real file: every target, its new name, and how strength is to be told.
///
/// Headers and alphas have been read, and the factors of projections that are split or fused.
public struct ConvertPlan: Sendable {
  /// A textual inversion that gets a file of its own.
  public struct Embedding: Sendable {
    /// The word of the prompt that stands for it.
    public let token: String
    /// What its file holds, under the names that textual inversions have.
    public let tensors: [(name: String, tensor: Tensor)]
  }

  /// The tensors of one output file.
  struct Part: Sendable {
    /// The folder of a PEFT adapter inside the output, where it has several; otherwise empty.
    let folder: String
    let targets: Range<Int>
  }

  /// What the user asked for.
  public let recipe: ConvertRecipe
  /// One; of a folder with several PEFT adapters all of them.
  public let adapters: [Adapter]
  /// The model, as the user, names or shapes tell it; `unknown` where nothing does.
  public let family: Family
  /// The dialect of the output.
  public let format: AdapterFormat
  /// Of all tensor files of the output, one file after the other.
  public let targets: [ConvertTarget]
  /// One for each word that the adapters bring along.
  public let embeddings: [Embedding]
  /// What the user should know before or instead of the work.
  public let notes: [PlanNote]
  /// What the output leaves out, because the user allowed it.
  public let skipped: [String]

  let parts: [Part]
  let passedThrough: [(name: String, tensor: Tensor)]

  /// Whether the output is a folder with a configuration rather than one file.
  public var writesFolder: Bool {
    format.dialect.isFolder && (recipe.format != nil || adapters.contains { $0.configuration != nil })
  }

  /// - Throws: an error of the file's room, `AdapterError` for an adapter that cannot be worked on, or `FactoringError` for
  ///   a target without a name in the dialect.
  public init(_ recipe: ConvertRecipe) throws { try self.init(recipe, ConvertSource.all(at: recipe.path)) }

  /// Names the targets of an adapter that is open, from a file or in memory.
  ///
  /// - Throws: `AdapterError` for an adapter that cannot be worked on, or `FactoringError` for a target without a name in the
  ///   dialect.
  public init(_ recipe: ConvertRecipe, adapter: Adapter) throws {
    try self.init(recipe, [ConvertSource(adapter: adapter, component: nil)])
  }

  private init(_ recipe: ConvertRecipe, _ found: [ConvertSource]) throws {
    let sources = found.keepingWhole(for: recipe)
    for source in sources {
      try source.adapter.requireWorkable(
        allowingUnknown: recipe.allowsUnmatched, allowingUnsupported: recipe.allowsUnmatched, allowingDependents: true)
    }
    self.recipe = recipe
    adapters = sources.map(\.adapter)
    family = recipe.family ?? Self.family(of: sources)
    format = recipe.format ?? adapters[0].format
    let hasAlphas =
      format.dialect.alphaRule == .tensor || sources.contains { $0.adapter.targets.contains { $0.names.alpha != nil } }
    var grouping = ConvertGrouping(recipe, sources, family: family, format: format, keepsAlphas: hasAlphas)
    try grouping.collect()
    var made = try grouping.targets()
    var notes = grouping.notes.map { PlanNote($0) }
    if recipe.dtype?.bits == 8, made.contains(where: { if case .tensor = $0.scaling { false } else { true } }) {
      throw FactoringError(.noAlpha(dtype: recipe.dtype!, format: format, isConversion: true), path: recipe.path)
    }
    ConvertScales.assign(to: &made, normalising: recipe.normalises)
    if !recipe.normalises, let warning = ConvertScales.mixedAlphas(made, format) {
      notes.append(PlanNote("\(recipe.path): \(warning)", remedy: .oneAlpha))
    }
    if let note = Self.familyNote(recipe, sources, family, format) { notes.append(note) }
    let becomesFolder = recipe.format?.dialect.isFolder == true
    if becomesFolder, let warning = Self.lostLevel(in: made) {
      notes.append(PlanNote("\(recipe.path): \(warning)"))
    }
    skipped =
      grouping.skipped
      + adapters.flatMap { adapter in
        adapter.unknown.map { "\(adapter.path): \($0): no known trainer writes this tensor" }
          + adapter.unsupported.map { "\(adapter.path): \($0.name): \($0.algorithm.rawValue) cannot be converted yet" }
      }
    let sorted = Self.sorted(made, format: format, isFolder: becomesFolder)
    (targets, parts) = sorted
    let split = try ConvertEmbeddings(adapters)
    let format = format
    (embeddings, passedThrough) = (
      split.embeddings, split.others.filter { format.dialect.isFolder || !Adapter.isTrainingState($0.name) }
    )
    self.notes = adapters.flatMap(\.warnings).map { PlanNote($0) } + notes
  }

  /// A warning about PEFT adapters of CLIP's text encoder, which newer versions of transformers give shorter names.
  private static func lostLevel(in targets: [ConvertTarget]) -> String? {
    let level = "text_model."
    guard targets.contains(where: { $0.key.component == .textEncoder1 && $0.dottedPath?.hasPrefix(level) == true })
    else { return nil }
    return "text encoder 1: with transformers 5.6 or newer PEFT passes it over with a warning; hint: "
      + "PeftModel.from_pretrained(…, key_mapping={\"^text_model.\": \"\"})"
  }

  /// PEFT adapters hold one network each.
  private static func sorted(
    _ targets: [ConvertTarget], format: AdapterFormat, isFolder: Bool
  ) -> ([ConvertTarget], [Part]) {
    let components = Set(targets.map(\.key.component)).sorted()
    guard isFolder, components.count > 1 else { return (targets, [Part(folder: "", targets: targets.indices)]) }
    var result: [ConvertTarget] = [], parts: [Part] = []
    for component in components {
      let own = targets.filter { $0.key.component == component }, start = result.count
      let isUNet = own.contains { $0.key.isOfUNet }
      result += own
      parts.append(
        Part(folder: ConvertSource.folder(of: component, isUNet: isUNet), targets: start..<result.count))
    }
    return (result, parts)
  }

  /// Whether some factors are stored with fewer bits than single precision, so that it could hold more of them.
  public var hasNarrowFactors: Bool {
    targets.contains { min($0.upDType.bits, $0.downDType.bits) < 32 }
  }

  /// Fails early, before any work, when `output` could not be written after it.
  public func checkDestination(_ output: String, overwriting: Bool) throws {
    try ConvertPlaces(output, plan: self).check(overwriting: overwriting)
  }
}
