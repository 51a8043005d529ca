import Adapters
import Checkpoints
import Factoring
import Spectra

extension RefactorPlan {
  /// Several adapters as one.
  init(_ recipe: RefactorRecipe, merging sources: [Adapter], base opened: Checkpoint?) throws {
    try recipe.checkMethod()
    let format = recipe.format ?? Self.commonFormat(of: sources)
    let base = try Self.base(recipe, opened: opened, for: sources)
    var whole = WholeWeightMerge(recipe, base: base.checkpoint)
    var adapters = whole.take(from: sources, format: format)
    if let checkpoint = base.checkpoint { adapters = try adapters.map { try $0.bound(to: checkpoint).adapter } }
    try Self.require(adapters, for: recipe)
    let leftOut: [String]
    (adapters, leftOut) = try Self.withKnownModules(adapters, for: recipe)
    let naming = MergeNames(recipe, adapters, format: format, family: TargetPairing.family(of: adapters))
    var groups = try naming.groups()
    if format.dialect.isFolder { try whole.merge(sources, groups: &groups) }
    try Self.checkProjections(groups.filter { $0.module == nil && $0.members[0].target.kind != .vector }, adapters)
    let targets = try Self.targets(groups, adapters, recipe) { try Self.spelling(of: $0, by: naming, adapters) }
    guard !targets.isEmpty || whole.merged.isEmpty else {
      throw FactoringError(.onlyWholeWeights, path: adapters[0].path)
    }
    let vectors = try OutputVector.all(groups, adapters, recipe, naming, keepsNames: false)
    var result = Parts(
      adapters, format: format, targets: targets, writesFolder: format.dialect.isFolder, isBaseUnused: base.isUnused,
      isAnotherWork: true, alphas: .rank, copiesWhatIsWhole: false)
    result.passedThrough = whole.merged + vectors.map { ($0.name, $0.tensor) }
    result.notes =
      adapters.flatMap { $0.warnings + Self.conversions(of: $0) }.map { PlanNote($0) } + whole.notes
      + OutputVector.warnings(about: vectors).map { PlanNote($0) }
    result.skipped = whole.skipped + leftOut
    result.concatenates = recipe.rule == .exact && !recipe.isCanonical
    try self.init(recipe, result)
  }

  private static func commonFormat(of adapters: [Adapter]) -> AdapterFormat {
    let formats = Set(adapters.map(\.format))
    return formats.count == 1 ? formats.first! : .usual
  }

  /// Refuses a mix of names for one projection (`qkv` in one adapter, `to_q` in another) where no map says how they belong
  /// together: they change the same weight and would stand beside each other as if they did not.
  private static func checkProjections(_ groups: [TargetPairing.Group], _ adapters: [Adapter]) throws(FactoringError) {
    guard adapters.count > 1 else { return }
    let fusedWords = ["_qkv", "_linear1"], splitWords = ["_to_q", "_to_k", "_to_v", "_add_q_proj", "_proj_mlp"]
    let fused = groups.first { group in fusedWords.contains { group.key.path.hasSuffix($0) } }
    let split = groups.first { group in
      splitWords.contains { group.key.path.hasSuffix($0) } && !group.key.path.contains("attn1_")
        && !group.key.path.contains("attn2_")
    }
    guard let fused, let split, let one = fused.members.first, let other = split.members.first,
      one.adapter != other.adapter
    else { return }
    throw FactoringError(
      .fusedAndSplit(fused: one.target.name, split: other.target.name), path: adapters[one.adapter].path)
  }
}
