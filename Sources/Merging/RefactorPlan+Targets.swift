import Adapters
import Checkpoints
import Factoring
import Files
import Spectra
import Tensors

/// What resizes and merges have in common when they look at their inputs.
extension RefactorPlan {
  /// The recipe's base, where a target of the adapters needs one.
  ///
  /// - Parameter opened: the base, where it is open already.
  static func base(
    _ recipe: RefactorRecipe, opened: Checkpoint?, for adapters: [Adapter]
  ) throws -> (checkpoint: Checkpoint?, isUnused: Bool) {
    guard opened != nil || recipe.base != nil else { return (nil, false) }
    guard adapters.contains(where: { !$0.dependents.isEmpty || !$0.frozen.isEmpty }) else {
      if let path = recipe.base { InputFiles.protect(path) }
      return (nil, true)
    }
    return (try opened ?? Checkpoint(path: recipe.base!), false)
  }

  /// - Throws: an error for an adapter that cannot be worked on as the recipe asks.
  static func require(_ adapters: [Adapter], for recipe: RefactorRecipe) throws {
    for adapter in adapters { try adapter.requireWorkable(allowingUnknown: recipe.allowsUnknown) }
    if let first = adapters.first(where: { $0.family != .unknown }) {
      for adapter in adapters where adapter.family != .unknown && adapter.family != first.family {
        throw FactoringError(
          .differentFamilies(first: first.family, file: first.path, other: adapter.family), path: adapter.path)
      }
    }
    for (adapter, input) in zip(adapters, recipe.inputs) { try input.blocks?.check(for: adapter) }
  }

  /// How a target of the output is spelled.
  struct Spelling {
    let name: String
    let names: Target.TensorNames
    let scaling: OutputTarget.Scaling

    init(_ name: String, _ names: Target.TensorNames, _ scaling: OutputTarget.Scaling) {
      (self.name, self.names, self.scaling) = (name, names, scaling)
    }
  }

  /// The targets of the output.
  ///
  /// - Parameters:
  ///   - groups: of the inputs' targets that change the same weight.
  ///   - spelling: of a group's target.
  static func targets(
    _ groups: [TargetPairing.Group], _ adapters: [Adapter], _ recipe: RefactorRecipe,
    spelling: (TargetPairing.Group) throws -> Spelling
  ) throws -> [OutputTarget] {
    try groups.filter { $0.members[0].target.kind != .vector }.map { group in
      let delta = try DeltaSum(
        group.members.map { index, target in
          .init(target, of: adapters[index].path, strength: recipe.inputs[index].strength(for: target.key))
        })
      let first = group.members[0].target
      let dtypes = Set(group.members.map(\.target.dtype))
      let spelling = try spelling(group)
      return OutputTarget(
        key: group.key, name: spelling.name,
        dottedPath: group.module ?? group.members.lazy.compactMap(\.target.dottedPath).first, names: spelling.names,
        delta: delta, sources: group.members.map(\.adapter),
        dtype: recipe.dtype ?? (dtypes.count == 1 ? writable(dtypes.first!) : .f32), kernel: first.kernel,
        inputs: first.inputs, scaling: spelling.scaling)
    }
  }

  /// Formats that can be read but not written become single precision.
  private static func writable(_ dtype: DType) -> DType { dtype.unitRoundoff == nil ? .f32 : dtype }

  /// The spelling of a group in the output's dialect, whatever its own was.
  static func spelling(
    of group: TargetPairing.Group, by naming: MergeNames, _ adapters: [Adapter]
  ) throws -> Spelling {
    let first = group.members[0].target
    guard first.algorithm != .embedding, let (name, names) = try naming.names(for: group) else {
      throw FactoringError(
        .noName(target: first.name, format: naming.format), path: adapters[group.members[0].adapter].path)
    }
    return Spelling(name, names, names.alpha == nil ? .none : .alpha)
  }

  /// What becomes LoRA, for the user to know.
  static func conversions(of adapter: Adapter) -> [String] {
    let counts = Dictionary(grouping: adapter.targets.filter(\.becomesLoRA).map(\.algorithm), by: \.self)
      .mapValues(\.count)
    return counts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
      "\(adapter.path): \($0.value) targets of \($0.key.rawValue) become LoRA, which needs more bytes for the same energy"
    }
  }
}
