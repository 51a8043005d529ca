public import Adapters
import Checkpoints
import Files
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

  /// Whether targets of other algorithms become LoRA.
  var leavesFamily: Bool { adapters.contains { adapter in adapter.targets.contains(where: \.becomesLoRA) } }

  /// Whether the output is a folder with a configuration rather than one file.
  public var writesFolder: Bool {
    format.dialect.isFolder && (recipe.operation == .merge || adapters.contains { $0.configuration != nil })
  }

  let passedThrough: [(name: String, tensor: Tensor)]

  /// Whether a base was given that no target depends on.
  public let isBaseUnused: Bool

  /// Reads the adapters' headers and matches their targets.
  ///
  /// - Throws: an error of the file's room, `AdapterError` for an adapter that cannot be worked on, or `MergingError`.
  public init(_ recipe: RefactorRecipe) throws {
    var adapters = try recipe.inputs.map { try Adapter(path: $0.path) }
    var magnitudes: [TargetKey: BoundMagnitude] = [:]
    let format =
      recipe.operation == .resize ? adapters[0].format : recipe.format ?? Self.commonFormat(of: adapters)
    // What a resize does not touch needs no base.
    if recipe.operation == .resize { adapters = adapters.map(\.keepingReplacements) }
    let sources = adapters
    isBaseUnused = recipe.base != nil && adapters.allSatisfy { $0.dependents.isEmpty && $0.frozen.isEmpty }
    if isBaseUnused, let path = recipe.base { InputFiles.protect(path) }
    let base = isBaseUnused ? nil : try recipe.base.map { try Checkpoint(path: $0) }
    var whole = WholeWeightMerge(recipe, base: base)
    if recipe.operation == .merge { adapters = whole.take(from: adapters, format: format) }
    if let checkpoint = base {
      let bound = try adapters.map { try $0.bound(to: checkpoint) }
      if recipe.operation == .resize {
        let parts = bound[0].takingMagnitudesApart()
        (adapters, magnitudes) = ([parts.adapter], parts.magnitudes)
      } else {
        adapters = bound.map(\.adapter)
      }
    }
    for adapter in adapters { try adapter.requireWorkable(allowingUnknown: recipe.allowsUnknown) }
    try Self.checkFamilies(adapters)
    for (adapter, input) in zip(adapters, recipe.inputs) { try input.blocks?.check(for: adapter) }
    self.recipe = recipe
    self.adapters = adapters
    family = adapters.map(\.family).first { $0 != .unknown } ?? .unknown
    self.format = format
    let names = MergeNames(recipe, adapters, format: format, family: family)
    var groups = recipe.operation == .resize ? TargetPairing(adapters).groups : try names.groups()
    if recipe.operation == .merge, format.dialect.isFolder { try whole.merge(sources, groups: &groups) }
    targets = try Self.targets(groups.filter { $0.members[0].target.kind != .vector }, adapters, recipe, names).map {
      var target = $0
      target.magnitude = magnitudes[$0.key]
      return target
    }
    guard !targets.isEmpty || whole.merged.isEmpty else {
      throw MergingError(.onlyWholeWeights, path: adapters[0].path)
    }
    let vectors = try Self.vectors(
      groups.filter { $0.members[0].target.kind == .vector }, adapters, recipe, names)
    try Self.checkNames(targets, format, adapters)
    if recipe.dtype?.bits == 8, targets.contains(where: { $0.names.alpha == nil }) {
      throw MergingError(.noAlpha(dtype: recipe.dtype!, format: format, option: "--format"), path: adapters[0].path)
    }
    skipped = whole.skipped + adapters.flatMap { adapter in adapter.unknown.map { "\(adapter.path): \($0)" } }
    passedThrough = try Self.passedThrough(adapters) + whole.merged + vectors.map { ($0.name, $0.tensor) }
    warnings =
      adapters.flatMap { adapter in
        AdapterProblem.grouped(adapter.problems.filter { !$0.isFatal }).map { "\(adapter.path): \($0)" }
          + (recipe.operation == .resize && Self.isOutdated(adapter)
            ? [
              "\(adapter.path): its names are of the oldest diffusers style, which current diffusers skips; the output has today's names"
            ] : [])
          + Self.conversions(adapter)
      }
      + (magnitudes.isEmpty
        ? [] : ["\(magnitudes.count) targets of dora stay dora: errors are those of the part that has factors"])
      + whole.warnings
      + (vectors.isEmpty ? [] : ["\(vectors.count) biases and weights of norms are kept whole"])
  }

  /// What becomes LoRA, for the user to know.
  private static func conversions(_ adapter: Adapter) -> [String] {
    let counts = Dictionary(grouping: adapter.targets.filter(\.becomesLoRA).map(\.algorithm), by: \.self)
      .mapValues(\.count)
    return counts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
      "\(adapter.path): \($0.value) targets of \($0.key.rawValue) become LoRA, which needs more bytes for the same energy"
    }
  }

  private static func checkFamilies(_ adapters: [Adapter]) throws(MergingError) {
    guard let first = adapters.first(where: { $0.family != .unknown }) else { return }
    for adapter in adapters where adapter.family != .unknown && adapter.family != first.family {
      throw MergingError(
        .differentFamilies(first: first.family, file: first.path, other: adapter.family), path: adapter.path)
    }
  }

  private static func commonFormat(of adapters: [Adapter]) -> AdapterFormat {
    let formats = Set(adapters.map(\.format))
    return formats.count == 1 ? formats.first! : .kohya
  }

  private static func targets(
    _ groups: [TargetPairing.Group], _ adapters: [Adapter], _ recipe: RefactorRecipe, _ naming: MergeNames
  ) throws -> [OutputTarget] {
    try checkProjections(groups.filter { $0.module == nil }, adapters)
    let modernises = adapters.contains(where: isOutdated)
    return try groups.map { group in
      let delta = try DeltaSum(
        group.members.map { index, target in
          .init(target, of: adapters[index].path, strength: recipe.inputs[index].strength(for: target.key))
        })
      let first = group.members[0].target
      let dtypes = Set(group.members.map(\.target.dtype))
      let dtype = recipe.dtype ?? (dtypes.count == 1 ? writable(dtypes.first!) : .f32)
      func make(_ name: String, _ names: Target.TensorNames, _ scaling: OutputTarget.Scaling) -> OutputTarget {
        OutputTarget(
          key: group.key, name: name,
          dottedPath: group.module ?? group.members.lazy.compactMap(\.target.dottedPath).first,
          names: names, delta: delta, sources: group.members.map(\.adapter), dtype: dtype,
          kernel: first.kernel, inputs: first.inputs, scaling: scaling)
      }
      // Where names have dots, other algorithms' own are not those of a LoRA.
      let isRespelled = modernises || (first.becomesLoRA && naming.format.dialect.alphaRule != .tensor)
      if recipe.operation == .resize, !isRespelled {
        var names = first.names
        names.mid = nil
        // Without a place to keep it, the scale goes into the factors.
        guard let alpha = names.alpha else { return make(first.name, names, .none) }
        return make(first.name, names, alpha.hasSuffix(".scale") ? .scale(first.scale == 0 ? 1 : first.scale) : .alpha)
      }
      guard first.algorithm != .embedding, let (name, names) = try naming.names(for: group) else {
        throw MergingError(
          .noName(target: first.name, format: naming.format), path: adapters[group.members[0].adapter].path)
      }
      return make(name, names, names.alpha == nil ? .none : .alpha)
    }
  }

  private static func isOutdated(_ adapter: Adapter) -> Bool {
    adapter.format.dialect.isOutdated(adapter.targets.map(\.name))
  }

  /// Refuses a format that spells two targets alike: the two denoisers of two-stage models in the checkpoint's own names.
  private static func checkNames(
    _ targets: [OutputTarget], _ format: AdapterFormat, _ adapters: [Adapter]
  ) throws(MergingError) {
    var seen: Set<String> = []
    for target in targets where !seen.insert(target.names.up).inserted {
      throw MergingError(.noName(target: target.name, format: format), path: adapters[target.sources[0]].path)
    }
  }

  /// Formats that can be read but not written become single precision.
  private static func writable(_ dtype: DType) -> DType { dtype.unitRoundoff == nil ? .f32 : dtype }

  /// Refuses a mix of names for one projection (`qkv` in one adapter, `to_q` in another) where no map says how they belong
  /// together: they change the same weight and would stand beside each other as if they did not.
  private static func checkProjections(_ groups: [TargetPairing.Group], _ adapters: [Adapter]) throws(MergingError) {
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
    throw MergingError(
      .fusedAndSplit(fused: one.target.name, split: other.target.name), path: adapters[one.adapter].path)
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
}

extension RefactorPlan {
  /// Fails early, before any work, when `output` could not be written after it.
  public func checkDestination(_ output: String, overwriting: Bool) throws {
    try OutputPlace(output, plan: self, ranks: targets.map { ($0.name, 1) }).check(
      overwriting: overwriting, inPlaceOf: replaceableInputs)
  }

  /// A resize of a file under its own name works in place; of several adapters none may be lost.
  var replaceableInputs: Set<String> { recipe.operation == .resize ? adapters[0].ownFiles : [] }
}

extension Target {
  /// Whether a factored form of the delta is a change of algorithm.
  var becomesLoRA: Bool { kind != .vector && algorithm != .lora && algorithm != .embedding }
}
