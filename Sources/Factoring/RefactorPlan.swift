public import Adapters
import JSON
public import Models
import Spectra
package import Tensors

/// A recipe resolved against real adapters: which targets there are, what each is made of, and how it will be spelled.
///
/// Only headers and alphas have been read.
public struct RefactorPlan: Sendable {
  /// What the user asked for.
  public private(set) var recipe: RefactorRecipe
  /// One for each of the recipe's inputs, in their order.
  public let adapters: [Adapter]
  /// The model that all of them are for; `unknown` where nothing tells it.
  public let family: Family
  /// The dialect of the output.
  public let format: AdapterFormat
  /// One for each weight that any of the adapters changes; spectra and ranks are in this order.
  public internal(set) var targets: [OutputTarget]
  /// What the user should know before or instead of the work.
  public let notes: [PlanNote]
  /// Tensors that the output leaves out, because the user allowed it.
  public let skipped: [String]
  /// Whether the output is a folder with a configuration rather than one file.
  public let writesFolder: Bool
  /// Whether a base was given that no target depends on.
  public let isBaseUnused: Bool

  /// What its only adapter was made of, where that is no file.
  var origin: RefactorOrigin?
  package let passedThrough: [(name: String, tensor: Tensor)]
  /// Inputs that the output may take the place of.
  package let replaceableInputs: Set<String>
  /// Whether the output is another work than any of its inputs, with another title, rather than one of them made anew.
  package let isAnotherWork: Bool
  /// What the alpha of the output's targets is.
  package let alphas: SharedAlpha.Choice
  /// Whether targets that nothing is cut from are copied as they are.
  package let copiesWhatIsWhole: Bool
  /// Whether the terms of a sum that nothing is cut from may stand side by side as they are.
  package let concatenates: Bool

  /// Whether a decomposition by inner products will do, which sees the smallest components less exactly: where such are most
  /// likely cut off, or stay as they are.
  var decomposesByProducts: Bool { recipe.rule.cuts || concatenates }

  /// Whether targets of other algorithms become LoRA.
  package var leavesFamily: Bool { adapters.contains { adapter in adapter.targets.contains(where: \.becomesLoRA) } }

  /// What an operation decides of a plan, beside the recipe.
  package struct Parts {
    package var adapters: [Adapter]
    package var format: AdapterFormat
    package var targets: [OutputTarget]
    /// Tensors that stand beside the factors, other than those that all inputs agree on.
    package var passedThrough: [(name: String, tensor: Tensor)] = []
    package var notes: [PlanNote] = []
    package var skipped: [String] = []
    package var writesFolder: Bool
    package var isBaseUnused: Bool
    package var replaceableInputs: Set<String> = []
    package var isAnotherWork: Bool
    package var alphas: SharedAlpha.Choice
    package var copiesWhatIsWhole: Bool
    package var concatenates = false

    package init(
      _ adapters: [Adapter], format: AdapterFormat, targets: [OutputTarget], writesFolder: Bool, isBaseUnused: Bool,
      isAnotherWork: Bool, alphas: SharedAlpha.Choice, copiesWhatIsWhole: Bool
    ) {
      (self.adapters, self.format, self.targets) = (adapters, format, targets)
      (self.writesFolder, self.isBaseUnused, self.isAnotherWork) = (writesFolder, isBaseUnused, isAnotherWork)
      (self.alphas, self.copiesWhatIsWhole) = (alphas, copiesWhatIsWhole)
    }
  }

  /// - Throws: `FactoringError` where the output's format cannot hold what it should.
  package init(_ recipe: RefactorRecipe, _ parts: Parts) throws {
    self.recipe = recipe
    (adapters, format, targets) = (parts.adapters, parts.format, parts.targets)
    family = TargetPairing.family(of: adapters)
    try Self.checkNames(targets, format, adapters)
    if recipe.dtype?.bits == 8, targets.contains(where: { $0.names.alpha == nil }) {
      throw FactoringError(.noAlpha(dtype: recipe.dtype!, format: format, isConversion: false), path: adapters[0].path)
    }
    skipped = parts.skipped + adapters.flatMap { adapter in adapter.unknown.map { "\(adapter.path): \($0)" } }
    passedThrough = try Self.passedThrough(adapters) + parts.passedThrough
    notes = parts.notes
    (writesFolder, isBaseUnused, replaceableInputs) = (parts.writesFolder, parts.isBaseUnused, parts.replaceableInputs)
    (isAnotherWork, alphas, copiesWhatIsWhole) = (parts.isAnotherWork, parts.alphas, parts.copiesWhatIsWhole)
    concatenates = parts.concatenates
  }

  /// The same with all factors in another number format.
  func storing(as dtype: DType) -> RefactorPlan {
    var plan = self
    plan.recipe.dtype = dtype
    for index in targets.indices { plan.targets[index].dtype = dtype }
    return plan
  }

  /// Refuses a format that spells two targets alike: the two denoisers of two-stage models in the checkpoint's own names.
  private static func checkNames(
    _ targets: [OutputTarget], _ format: AdapterFormat, _ adapters: [Adapter]
  ) throws(FactoringError) {
    var seen: Set<String> = []
    for target in targets where !seen.insert(target.names.up).inserted {
      throw FactoringError(.noName(target: target.name, format: format), path: adapters[target.sources[0]].path)
    }
  }

  private static func passedThrough(_ adapters: [Adapter]) throws(FactoringError) -> [(name: String, tensor: Tensor)] {
    var result: [(name: String, tensor: Tensor)] = []
    for adapter in adapters {
      // What only a training needs is that of one adapter.
      for (name, tensor) in adapter.passedThrough where adapters.count == 1 || !Adapter.isTrainingState(name) {
        guard let other = result.first(where: { $0.name == name }) else {
          result.append((name, tensor))
          continue
        }
        let isSame = other.tensor.bytes.withUnsafeBytes { a in tensor.bytes.withUnsafeBytes { a.elementsEqual($0) } }
        guard isSame else { throw FactoringError(.conflictingTensor(name: name), path: adapter.path) }
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
  package func place(_ output: String, ranks: [(name: String, rank: Int)], alphas: [Double]? = nil) throws
    -> OutputPlace
  {
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
  package var becomesLoRA: Bool { kind != .vector && algorithm != .lora && algorithm != .embedding }
}
