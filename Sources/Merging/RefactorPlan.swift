public import Adapters
public import Checkpoints
import Files
import JSON
public import Models
import Spectra
import Tensors

/// A recipe resolved against the real files: which targets there are, what each is made of, and how it will be spelled.
///
/// Only headers and alphas have been read.
public struct RefactorPlan: Sendable {
  public let recipe: RefactorRecipe
  public let adapters: [Adapter]
  public let family: Family
  /// The dialect of the output.
  public let format: AdapterFormat
  public let targets: [OutputTarget]
  /// What the user should know before or instead of the work.
  public let warnings: [String]
  /// Tensors that the output leaves out, because the user allowed it.
  public let skipped: [String]
  /// Whether the output is a folder with a configuration rather than one file.
  public let writesFolder: Bool
  /// Whether a base was given that no target depends on.
  public let isBaseUnused: Bool

  let passedThrough: [(name: String, tensor: Tensor)]
  /// Inputs that the output may take the place of.
  let replaceableInputs: Set<String>
  /// Whether the output is another work than any of its inputs, with another title, rather than one of them made anew.
  let isAnotherWork: Bool
  /// What the alpha of the output's targets is.
  let alphas: SharedAlpha.Choice
  /// Whether targets that nothing is cut from are copied as they are.
  let copiesWhatIsWhole: Bool

  /// Whether targets of other algorithms become LoRA.
  var leavesFamily: Bool { adapters.contains { adapter in adapter.targets.contains(where: \.becomesLoRA) } }

  /// Reads the adapters' headers and matches their targets.
  ///
  /// - Throws: an error of the file's room, `AdapterError` for an adapter that cannot be worked on, or `MergingError`.
  public init(_ recipe: RefactorRecipe) throws {
    try self.init(recipe, adapters: recipe.inputs.map { try Adapter(path: $0.path) })
  }

  /// Matches the targets of adapters that are open, from files or in memory.
  ///
  /// - Parameters:
  ///   - adapters: the recipe's inputs.
  ///   - base: the recipe's base, for targets whose delta depends on the weight that they change; opened by its path when `nil`.
  /// - Throws: `AdapterError` for an adapter that cannot be worked on, or `MergingError`.
  public init(_ recipe: RefactorRecipe, adapters: [Adapter], base: Checkpoint? = nil) throws {
    precondition(adapters.count == recipe.inputs.count, "\(adapters.count) adapters for \(recipe.inputs.count) inputs")
    switch recipe.operation {
    case .resize: try self.init(recipe, resizing: adapters[0], base: base)
    case .merge: try self.init(recipe, merging: adapters, base: base)
    }
  }

  /// What an operation decides of a plan, beside the recipe.
  struct Parts {
    var adapters: [Adapter]
    var format: AdapterFormat
    var targets: [OutputTarget]
    var vectors: [OutputVector]
    var passedThrough: [(name: String, tensor: Tensor)] = []
    var warnings: [String] = []
    var skipped: [String] = []
    var writesFolder: Bool
    var isBaseUnused: Bool
    var replaceableInputs: Set<String> = []
    var isAnotherWork: Bool
    var alphas: SharedAlpha.Choice
    var copiesWhatIsWhole: Bool
  }

  /// - Throws: `MergingError` where the output's format cannot hold what it should.
  init(_ recipe: RefactorRecipe, _ parts: Parts) throws {
    self.recipe = recipe
    (adapters, format, targets) = (parts.adapters, parts.format, parts.targets)
    family = Self.family(of: adapters)
    try Self.checkNames(targets, format, adapters)
    if recipe.dtype?.bits == 8, targets.contains(where: { $0.names.alpha == nil }) {
      throw MergingError(.noAlpha(dtype: recipe.dtype!, format: format, option: "--format"), path: adapters[0].path)
    }
    skipped = parts.skipped + adapters.flatMap { adapter in adapter.unknown.map { "\(adapter.path): \($0)" } }
    passedThrough =
      try Self.passedThrough(adapters) + parts.passedThrough + parts.vectors.map { ($0.name, $0.tensor) }
    warnings =
      parts.warnings
      + (parts.vectors.isEmpty ? [] : ["\(parts.vectors.count) biases and weights of norms are kept whole"])
    (writesFolder, isBaseUnused, replaceableInputs) = (parts.writesFolder, parts.isBaseUnused, parts.replaceableInputs)
    (isAnotherWork, alphas, copiesWhatIsWhole) = (parts.isAnotherWork, parts.alphas, parts.copiesWhatIsWhole)
  }

  static func family(of adapters: [Adapter]) -> Family { adapters.map(\.family).first { $0 != .unknown } ?? .unknown }

  /// Refuses a format that spells two targets alike: the two denoisers of two-stage models in the checkpoint's own names.
  private static func checkNames(
    _ targets: [OutputTarget], _ format: AdapterFormat, _ adapters: [Adapter]
  ) throws(MergingError) {
    var seen: Set<String> = []
    for target in targets where !seen.insert(target.names.up).inserted {
      throw MergingError(.noName(target: target.name, format: format), path: adapters[target.sources[0]].path)
    }
  }

  private static func passedThrough(_ adapters: [Adapter]) throws(MergingError) -> [(name: String, tensor: Tensor)] {
    var result: [(name: String, tensor: Tensor)] = []
    for adapter in adapters {
      // What only a training needs is that of one adapter.
      for (name, tensor) in adapter.passedThrough where adapters.count == 1 || !Adapter.isTrainingState(name) {
        guard let other = result.first(where: { $0.name == name }) else {
          result.append((name, tensor))
          continue
        }
        let isSame = other.tensor.bytes.withUnsafeBytes { a in tensor.bytes.withUnsafeBytes { a.elementsEqual($0) } }
        guard isSame else { throw MergingError(.conflictingTensor(name: name), path: adapter.path) }
      }
    }
    return result
  }

  // MARK: Where it goes

  /// Fails early, before any work, when `output` could not be written after it.
  public func checkDestination(_ output: String, overwriting: Bool) throws {
    try place(output, ranks: targets.map { ($0.name, 1) }).check(
      overwriting: overwriting, inPlaceOf: replaceableInputs)
  }

  /// - Parameter alphas: of the targets; their ranks when `nil`. Of a resize some factors keep their scale.
  func place(_ output: String, ranks: [(name: String, rank: Int)], alphas: [Double]? = nil) throws -> OutputPlace {
    guard writesFolder else { return try OutputPlace(output, configuration: nil, ranks: ranks) }
    let sources = adapters.compactMap(\.configuration)
    var fields = OutputPlace.configuration(like: sources.first, leavingFamily: leavesFamily)
    // Another work may have targets that no single configuration names.
    if isAnotherWork || leavesFamily {
      PEFTWholeWeights(names: passedThrough.map(\.name), targets: ranks.map(\.name), sources: sources).set(in: &fields)
    }
    // An initialisation that changed the base would change it again, and by other ranks.
    if adapters.contains(where: { $0.problems.contains { if case .changedBase = $0.kind { true } else { false } } }) {
      fields["init_lora_weights"] = .bool(true)
    }
    return try OutputPlace(output, configuration: fields, ranks: ranks, alphas: alphas)
  }
}

extension Target {
  /// Whether a factored form of the delta is a change of algorithm.
  var becomesLoRA: Bool { kind != .vector && algorithm != .lora && algorithm != .embedding }
}
