import Adapters
import Checkpoints
import Factoring
import Spectra

extension RefactorPlan {
  /// One adapter at other ranks: names, dialect and scales stay.
  init(_ recipe: RefactorRecipe, resizing adapter: Adapter, base opened: Checkpoint?) throws {
    precondition(recipe.inputs.count == 1, "a resize has one adapter, not \(recipe.inputs.count)")
    // What a resize does not touch needs no base.
    let source = adapter.keepingReplacements, format = source.format
    let base = try Self.base(recipe, opened: opened, for: [source])
    // A DoRA stays one: its low-rank part is cut, and its lengths follow.
    let parts = try base.checkpoint.map { try source.bound(to: $0).takingMagnitudesApart() }
    try Self.require([parts?.adapter ?? source], for: recipe)
    let (adapters, leftOut) = try Self.withKnownModules([parts?.adapter ?? source], for: recipe), adapter = adapters[0]
    let naming = MergeNames(recipe, adapters, format: format, family: TargetPairing.family(of: adapters))
    let groups = TargetPairing(adapters).groups
    let isOutdated = format.dialect.isOutdated(adapter.targets.map(\.name))
    var targets = try Self.targets(groups, adapters, recipe) { group in
      let target = group.members[0].target
      // Where names have dots, other algorithms' own are not those of a LoRA.
      guard !isOutdated, !target.becomesLoRA || format.dialect.alphaRule == .tensor else {
        return try Self.spelling(of: group, by: naming, adapters)
      }
      return Spelling(keptOf: target)
    }
    for index in targets.indices { targets[index].magnitude = parts?.magnitudes[targets[index].key] }
    let vectors = try OutputVector.all(groups, adapters, recipe, naming, keepsNames: true)
    var result = Parts(
      adapters, format: format, targets: targets,
      writesFolder: format.dialect.isFolder && adapter.configuration != nil, isBaseUnused: base.isUnused,
      isAnotherWork: false, alphas: .likeBefore, copiesWhatIsWhole: true)
    result.passedThrough = vectors.map { ($0.name, $0.tensor) }
    result.skipped = leftOut
    result.replaceableInputs = adapter.ownFiles
    var notes = adapter.warnings
    if isOutdated {
      notes.append(
        "\(adapter.path): its names are of the oldest diffusers style, which current diffusers skips; the output has today's names"
      )
    }
    notes += Self.conversions(of: adapter)
    if let count = parts?.magnitudes.count, count > 0 {
      notes.append("\(count) targets of dora stay dora: errors are those of the part that has factors")
    }
    result.notes = (notes + OutputVector.warnings(about: vectors)).map { PlanNote($0) }
    try self.init(recipe, result)
  }
}

extension RefactorPlan.Spelling {
  /// A target's own.
  fileprivate init(keptOf target: Target) {
    var names = target.names
    names.mid = nil
    let scaling: OutputTarget.Scaling
    if let alpha = names.alpha {
      scaling = alpha.hasSuffix(".scale") ? .scale(target.scale == 0 ? 1 : target.scale) : .alpha
    } else {
      // Without a place to keep it, the scale goes into the factors.
      scaling = .none
    }
    self.init(target.name, names, scaling)
  }
}
