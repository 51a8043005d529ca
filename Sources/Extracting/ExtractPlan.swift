public import Adapters
public import Checkpoints
public import Factoring
public import Models
import Spectra
import Tensors

/// A recipe resolved against the two checkpoints: which weights belong together, and how the adapter will spell them.
///
/// Only headers have been read.
public struct ExtractPlan: Sendable {
  /// What the user asked for.
  public let recipe: ExtractRecipe
  /// The checkpoint that the adapter will be used with.
  public let base: Checkpoint
  /// The checkpoint whose difference from `base` the adapter is to hold.
  public let tuned: Checkpoint
  /// The model of both checkpoints; `unknown` where nothing tells it.
  public let family: Family
  /// The dialect of the output.
  public let format: AdapterFormat
  /// In the base's order.
  public let targets: [ExtractTarget]
  /// What the user should know before or instead of the work.
  public let notes: [PlanNote]
  /// Weights that only one of the checkpoints has, because the user allowed it.
  public let unmatched: [String]

  /// Whether the output is a folder with a configuration rather than one file.
  public var writesFolder: Bool { format.dialect.isFolder }

  /// Opens both checkpoints and matches their weights.
  ///
  /// - Throws: `FileError`, `SafetensorsError`, `CheckpointError`, or as `init(_:base:tuned:)`.
  public init(_ recipe: ExtractRecipe) throws {
    try self.init(recipe, base: Checkpoint(path: recipe.base), tuned: Checkpoint(path: recipe.tuned))
  }

  /// Matches the weights of checkpoints that are open, from files or in memory.
  ///
  /// - Parameters:
  ///   - base: the recipe's base.
  ///   - tuned: the recipe's other checkpoint.
  /// - Throws: `ExtractingError` or `FactoringError` for checkpoints that do not fit each other.
  public init(_ recipe: ExtractRecipe, base: Checkpoint, tuned: Checkpoint) throws {
    if base.family != .unknown, tuned.family != .unknown, base.family != tuned.family {
      throw FactoringError(
        .differentFamilies(first: base.family, file: recipe.base, other: tuned.family), path: recipe.tuned)
    }
    self.recipe = recipe
    (self.base, self.tuned) = (base, tuned)
    let told = base.family == .unknown ? tuned.family : base.family
    family = told == .unknown ? recipe.family ?? .unknown : told
    let format = recipe.format ?? (family == .languageModel ? .peft : .usual)
    self.format = format
    let usesOriginalNames = format.dialect.layout(in: family) == .original
    let pairing = ExtractPairing(base, tuned, usesOriginalNames: usesOriginalNames)
    let isModel = family == .languageModel || family == .unknown
    func title(_ component: Component, _ path: String) -> String { Self.title(component, path, isSoleNetwork: isModel) }
    var unmatched =
      pairing.onlyInBase.map { "\(title($0.component, $0.path)): only in \(recipe.base)" }
      + pairing.onlyInTuned.map { "\(title($0.component, $0.path)): only in \(recipe.tuned)" }
    if !recipe.allowsUnmatched, let first = unmatched.first {
      throw ExtractingError(.unmatched(first: first, count: unmatched.count), path: recipe.tuned)
    }
    // A vocabulary that has grown leaves no difference between weights of two shapes.
    var pairs: [ExtractPairing.Pair] = []
    for pair in pairing.pairs {
      let title = title(pair.component, pair.path)
      if pair.base.shape.essential == pair.tuned.shape.essential {
        pairs.append(pair)
      } else if recipe.allowsUnmatched {
        unmatched.append("\(title): shape \(pair.base.shape) in \(recipe.base), \(pair.tuned.shape) in \(recipe.tuned)")
      } else {
        throw FactoringError(
          .weightShape(tensor: title, expected: pair.base.shape, file: recipe.base, found: pair.tuned.shape),
          path: recipe.tuned)
      }
    }
    self.unmatched = unmatched
    targets = try Self.targets(pairs, recipe, base, format, family)
    if recipe.dtype?.bits == 8, format.dialect.alphaRule != .tensor {
      throw FactoringError(.noAlpha(dtype: recipe.dtype!, format: format, isConversion: false), path: recipe.base)
    }
    var notes = (base.warnings + tuned.warnings).map { PlanNote($0) }
    let expectsOriginalNames = usesOriginalNames && family.hasTransformer && family.kohyaVersion != nil
    if format.dialect.alphaRule == .tensor, expectsOriginalNames, ExtractPairing.originalNames(base) == nil,
      ExtractPairing.originalNames(tuned) == nil
    {
      notes.append(
        PlanNote(
          "\(recipe.base): neither checkpoint has the original names of \(family.withArticle), so the adapter has diffusers' names",
          remedy: .diffusersNames))
    }
    self.notes = notes
  }

  /// A weight's name in messages: the only network of a model needs no mention.
  private static func title(_ component: Component, _ path: String, isSoleNetwork: Bool) -> String {
    isSoleNetwork && component == .denoiser ? path : "\(component.rawValue).\(path)"
  }

  private static func targets(
    _ pairs: [ExtractPairing.Pair], _ recipe: ExtractRecipe, _ base: Checkpoint, _ format: AdapterFormat,
    _ family: Family
  ) throws -> [ExtractTarget] {
    let encoders = Set(pairs.map(\.component).filter(\.isTextEncoder))
    let naming = OutputNaming(
      format: format, family: family,
      keys: pairs.filter { $0.path.hasSuffix(".weight") }.map {
        TargetKey($0.component, $0.path.dropping(suffix: ".weight").underscored)
      },
      numbersTextEncoders: family != .unknown || encoders.count > 1)
    let networks = Set(pairs.map(\.component)).subtracting([.vae])
    if format.dialect.isFolder, networks.count > 1 {
      throw ExtractingError(.severalNetworks(format: format), path: recipe.base)
    }
    let known = ModulePlaces(family: family, components: networks)
    var seen: Set<String> = []
    return try pairs.map { pair in
      let target = try target(pair, naming, known, base)
      if target.holding == .factors || target.holding == .full, !seen.insert(target.names.up).inserted {
        throw FactoringError(.noName(target: target.weightName, format: format), path: recipe.base)
      }
      return target
    }
  }

  private static func target(
    _ pair: ExtractPairing.Pair, _ naming: OutputNaming, _ known: ModulePlaces, _ base: Checkpoint
  ) throws -> ExtractTarget {
    let weightName = "\(pair.component.rawValue).\(pair.path)", shape = pair.base.shape
    let suffix = [".weight", ".bias"].first { pair.path.hasSuffix($0) } ?? ""
    let path = dottedPath(pair.path.dropping(suffix: suffix), pair.component)
    let flat = path.underscored
    let key = TargetKey(pair.component, pair.component.isTextEncoder ? TargetKey.belowLevels(flat) : flat)
    func make(_ holding: ExtractTarget.Holding, _ name: String, _ names: Target.TensorNames) -> ExtractTarget {
      ExtractTarget(
        holding: holding, key: key, weightName: weightName, name: name, names: names, dottedPath: path,
        base: pair.base, tuned: pair.tuned, shape: shape,
        isTransposed: holding == .factors && shape.rank == 2 && base.storesTransposed(module: path.underscored) == true)
    }
    func none(_ reason: String) -> ExtractTarget { make(.nothing(reason), weightName, .init(up: "", down: "")) }
    if pair.component == .vae { return none("an adapter cannot change a VAE") }
    let isFactored = suffix == ".weight" && shape.rank >= 2 && !isEmbedding(path, pair.component)
    let dialect = naming.format.dialect
    guard isFactored || dialect.holdsVectors else {
      return none("the \(naming.format.rawValue) format holds only matrices and convolutions")
    }
    guard !suffix.isEmpty || dialect.holdsParameters else {
      return none("the \(naming.format.rawValue) format has no name for it")
    }
    guard shape.rank <= 5, !dialect.isFolder || shape.rank == 2 else {
      return none("the \(naming.format.rawValue) format does not hold weights of \(shape.rank) dimensions")
    }
    if naming.family.hasNames, !known.contains(key) {
      let reason =
        key.component.isTextEncoder
        ? "no text encoder that is known has a module of this name"
        : "no module of this name is known in \(naming.family.name)"
      return make(.unnamed(reason), weightName, .init(up: "", down: ""))
    }
    guard let (name, names) = naming.names(for: naming.key(of: key), dottedPath: path) else {
      return none("it has no spelling in the \(naming.format.rawValue) format")
    }
    if isFactored { return make(.factors, name, names) }
    return make(.full, name, .init(up: name + (suffix == ".bias" ? ".diff_b" : ".diff"), down: ""))
  }

  /// CLIP's layers stand below `text_model` in all dialects, though newer versions of its library leave that out.
  private static func dottedPath(_ path: String, _ component: Component) -> String {
    guard component.isTextEncoder else { return path }
    return ["encoder.layers.", "embeddings.", "final_layer_norm"].contains(where: path.hasPrefix)
      ? "text_model." + path : path
  }

  /// Tables that are looked into, in text encoders and language models. (What diffusion transformers call embedders are
  /// layers.)
  private static func isEmbedding(_ path: String, _ component: Component) -> Bool {
    let last = path.split(separator: ".").last.map(String.init) ?? path
    return [
      "token_embedding", "position_embedding", "wte", "wpe", "embed_tokens", "embed_positions", "word_embeddings",
      "position_embeddings", "token_type_embeddings", "shared", "relative_attention_bias", "embed_in", "tok_embeddings",
    ].contains(last)
  }

  // MARK: Before the work

  /// Memory that the work needs at its peak, in bytes, about: the targets that take most, as many as work at once.
  /// The files themselves are mapped, and the system drops their pages when it needs room.
  public func peakMemory(threads: Int) -> Int {
    let needs = targets.map { target -> Int in
      let size = target.rows * target.columns, short = target.fullRank, long = size / max(short, 1)
      guard target.holding == .factors else { return 24 * min(size, 1 << 16) + 4 * size }
      let limit = recipe.limit(target)
      return 4 * size + 8 * 384 * long + 24 * min(short, 1536) * min(short, 1536) + 40 * limit * (short + long)
    }
    return needs.sorted(by: >).prefix(threads).reduce(0, +)
  }

  /// Fails early, before any work, when `output` could not be written after it.
  public func checkDestination(_ output: String, overwriting: Bool) throws {
    try place(output, ranks: [("", 1)]).check(overwriting: overwriting)
  }

  func place(_ output: String, ranks: [(name: String, rank: Int)]) throws -> OutputPlace {
    var fields = OutputPlace.plainConfiguration
    fields["target_modules"] = OutputPlace.moduleList(ranks)
    fields["fan_in_fan_out"] = .bool(targets.contains(where: \.isTransposed))
    if family == .languageModel { fields["task_type"] = .string("CAUSAL_LM") }
    return try OutputPlace(output, configuration: writesFolder ? fields : nil, ranks: ranks)
  }
}

extension Shape {
  /// The extents without those of 1 at the end: a matrix and a 1 × 1 convolution are stored alike.
  fileprivate var essential: [Int] {
    var extents = extents
    while extents.last == 1, extents.count > 1 { extents.removeLast() }
    return extents
  }
}
