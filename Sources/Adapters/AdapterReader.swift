public import JSON
import Models
public import Tensors

extension Adapter {
  /// Reads the adapter at `path`: a safetensors file, a torch pickle, or a PEFT folder.
  ///
  /// Faults of single targets are collected in `problems`, so that a broken file can still be looked at.
  ///
  /// - Throws: `FileError`, `SafetensorsError`, `TorchPickleError` or `AdapterError` when there is nothing to look at.
  public init(path: String) throws {
    let source = try AdapterSource(path: path)
    var reader = AdapterReader(source)
    self = try reader.read()
  }

  /// Makes an adapter of tensors in memory, which have the names that a file of any dialect would have for them.
  ///
  /// - Parameters:
  ///   - tensors: no two of one name; factors as (outputs, rank) and (rank, inputs), with the kernel's extents behind them for
  ///     convolutions.
  ///   - configuration: what PEFT keeps in `adapter_config.json`.
  ///   - title: what messages call it, in a path's place.
  /// - Throws: `AdapterError` when nothing in it is an adapter. Faults of single targets are collected in `problems`.
  public init(
    tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, value: String)] = [],
    configuration: JSONValue? = nil, title: String = "an adapter in memory"
  ) throws {
    var reader = AdapterReader(
      AdapterSource(
        path: title, tensorFile: title, state: StateDict(tensors, metadata: metadata),
        config: try AdapterSource.config(configuration, path: title)))
    self = try reader.read()
  }

  /// Makes an adapter of factors in memory.
  ///
  /// - Parameters:
  ///   - factors: up (outputs, rank), down (rank, inputs) and alpha (the rank where `nil`), with the target's name in kohya's dialect:
  ///     `lora_unet_mid_block_attentions_0_proj_in`.
  ///   - title: what messages call it, in a path's place.
  /// - Throws: as `init(tensors:metadata:configuration:title:)`.
  public init(
    factors: [(target: String, up: Tensor, down: Tensor, alpha: Double?)], title: String = "an adapter in memory"
  ) throws {
    let tensors = factors.flatMap { target, up, down, alpha in
      let names = AdapterFormat.kohya.dialect.tensorNames(of: target)
      let alphas = alpha.flatMap { alpha in names.alpha.map { ($0, Tensor([alpha], shape: [], dtype: .f32)) } }
      return [(name: names.up, tensor: up), (names.down, down)] + (alphas.map { [$0] } ?? [])
    }
    try self.init(tensors: tensors, title: title)
  }

  /// Reads an adapter whose tensors are in `tensorFile` and whose configuration is at hand: one that is being written.
  public init(tensorFile: String, configuration: JSONValue?) throws {
    let config = try AdapterSource.config(configuration, path: tensorFile)
    var reader = AdapterReader(
      AdapterSource(path: tensorFile, tensorFile: tensorFile, state: try StateDict(path: tensorFile), config: config))
    self = try reader.read()
  }
}

/// Sorts a file's tensors into targets.
struct AdapterReader {
  private let source: AdapterSource
  private let metadata: [String: String]
  private var problems: [AdapterProblem] = []
  private var modules: [String: [TargetPart]] = [:]
  /// Tensors that all targets share: VeRA's.
  private var shared: [String: Tensor] = [:]
  private var moduleOrder: [String] = []
  private var passedThrough: [(name: String, tensor: Tensor)] = []
  private var unknown: [String] = []

  init(_ source: AdapterSource) {
    self.source = source
    metadata = Dictionary(source.state.metadata.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
  }

  mutating func read() throws -> Adapter {
    group()
    problems = source.state.warnings.map { AdapterProblem(.oddHeader($0)) }
    guard !moduleOrder.isEmpty else { throw AdapterError(.notAnAdapter(reason: foundInstead), path: source.path) }
    let format = AdapterFormat.spoken(in: moduleOrder, hasConfiguration: source.config != nil)
    let configs = try configurations()
    for config in Set(configs.keys).sorted() { check(configs[config]!, named: config) }

    let dialect = format.dialect, positional = dialect.numbersTargets ? positionalKeys() : [:]
    var targets: [Target] = [], dependents: [DependentTarget] = [], unsupported: [UnsupportedTarget] = []
    var frozen: [WholeWeight] = []
    for module in moduleOrder {
      var reader = ModuleReader(
        module: module, key: positional[module] ?? dialect.key(of: module),
        parts: modules[module]!, config: config(for: module, in: configs), shared: shared)
      reader.read()
      targets += reader.targets
      dependents += reader.dependents
      unsupported += reader.unsupported
      frozen += reader.frozen
      problems += reader.problems
    }
    problems += dependents.filter { !$0.isOptional }.map {
      AdapterProblem(.needsBase($0.algorithm), target: $0.name)
    }
    checkDuplicates(targets.map { ($0.name, $0.key) } + dependents.map { ($0.name, $0.key) })
    let (family, candidates) = family(
      targets.filter { $0.kind != .vector }.map { FamilyClue(key: $0.key, inputs: $0.inputs, rows: $0.rows) }
        + dependents.map { FamilyClue(key: $0.key, inputs: $0.inputs, rows: nil) }
        + unsupported.filter { $0.algorithm != .controlLora }.map {
          FamilyClue(key: $0.key, inputs: $0.inputs, rows: nil)
        })
    targets = targets.map { $0.inCheckpointOrder(for: family) }
    if metadata["ss_network_args"]?.contains("\"split_qkv\": \"True\"") == true {
      problems.append(AdapterProblem(.splitProjections))
    }
    problems += unknown.map { AdapterProblem(.unknownTensor, target: $0) }
    return Adapter(
      path: source.path, format: format, family: family, candidates: candidates, targets: targets,
      dependents: dependents,
      unsupported: unsupported,
      passedThrough: passedThrough, frozen: frozen, unknown: unknown, metadata: source.state.metadata,
      program: source.state.foreign?.program
        ?? Trainer.name(
          metadata: metadata, tensors: source.state.tensors.map(\.name), hasConfiguration: source.config != nil),
      configuration: source.config?.fields,
      problems: problems, byteCount: source.state.byteCount, tensorFile: source.tensorFile, data: source.state.data)
  }

  // MARK: Family

  /// The family, and all that names and shapes can be where they do not tell one. Metadata chooses among those that fit;
  /// it never overrules names and shapes.
  private mutating func family(_ clues: [FamilyClue]) -> (Family, [Family]) {
    let prefixes = [
      "lora_unet_", "lora_transformer_", "diffusion_model.", "transformer.", "conditional_transformer.",
      "lora_llm_adapter_",
      "text_conditioner.",
    ]
    let isOfDenoiser = moduleOrder.contains { module in
      prefixes.contains(where: module.hasPrefix) && !module.hasPrefix("transformer.h.")
    }
    let found = Family.candidates(clues, isOfDenoiser: isOfDenoiser), claim = Family.claimed(by: metadata)
    let family =
      found.count == 1
      ? found[0] : claim.flatMap { found.contains($0) || Family.canClaim($0, of: clues) ? $0 : nil } ?? .unknown
    if let claim, claim != family {
      let shown = family == .unknown ? "no family that is known" : family.name
      problems.append(AdapterProblem(.familyMetadata(expected: shown, found: claim.name)))
    }
    if family == .unknown, found.count > 1 {
      problems.append(AdapterProblem(.severalFamilies(found.map(\.name))))
    }
    return (family, found)
  }

  // MARK: Grouping

  private mutating func group() {
    for (name, tensor) in source.state.tensors {
      if name == "lora_controlnet" {
        add(name, TargetPart(role: .other(.controlLora), label: name, name: name, tensor: tensor))
      } else if Self.isBookkeeping(name) || isTokenEmbedding(name) {
        passedThrough.append((name, tensor))
      } else if let ending = Self.sharedEndings.first(where: { name.hasSuffix("." + $0) }) {
        // Some types write them again for each module.
        if let other = shared.updateValue(tensor, forKey: ending), !other.hasSameBytes(as: tensor) {
          unknown.append(name)
        }
      } else if let parsed = KeyGrammar.parse(name), parsed.role != .scale || tensor.elementCount == 1 {
        add(parsed.module, TargetPart(role: parsed.role, label: parsed.label, name: name, tensor: tensor))
      } else {
        unknown.append(name)
      }
    }
    claimRefused()
    // A LyCORIS IA3 vector is called plain `weight`, and a PEFT file may carry replaced modules: both are told by
    // their neighbours.
    let unnamed = Set(unknown)
    unknown = []
    for (name, tensor) in source.state.tensors where unnamed.contains(name) {
      if isParameterOfSavedModule(name) {
        add(name, TargetPart(role: .other(.full), label: "parameter", name: name, tensor: tensor))
        continue
      }
      guard let label = ["weight", "bias"].first(where: { name.hasSuffix("." + $0) }),
        case var module = name.dropping(suffix: "." + label),
        case let isIA3 = modules[module]?.contains(where: { $0.role == .other(.ia3) }) == true,
        isIA3 || name.hasPrefix(PEFTDialect.prefix)
      else {
        unknown.append(name)
        continue
      }
      var level = ""
      for other in WholeWeight.levels where module.hasSuffix("." + other) {
        module = module.dropping(suffix: "." + other)
        if other != "ln_tuning_layers" { level = other + "." }
      }
      add(module, TargetPart(role: .other(isIA3 ? .ia3 : .full), label: level + label, name: name, tensor: tensor))
    }
  }

  /// Whether it is a bare parameter, in a module that PEFT saved as a whole.
  private func isParameterOfSavedModule(_ name: String) -> Bool {
    guard name.hasPrefix(PEFTDialect.prefix), !name.hasSuffix(".weight"), !name.hasSuffix(".bias") else { return false }
    return source.config?.savesModule(of: PEFTDialect.unwrapped(name)) ?? false
  }

  private static let sharedEndings = ["vera_A", "vera_B"] + StoredAlgorithm.all.flatMap(\.shared)

  /// What a type holds that is no change of weights goes by the type's name, whatever it is called.
  private mutating func claimRefused() {
    guard let type = source.config?.type, let algorithm = RefusedAlgorithm.byType[type] else { return }
    let names = Set(unknown)
    unknown = []
    for (name, tensor) in source.state.tensors where names.contains(name) {
      let module = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
      let label = name.lastIndex(of: ".").map { String(name[name.index(after: $0)...]) } ?? name
      add(module, TargetPart(role: .other(algorithm), label: label, name: name, tensor: tensor))
    }
  }

  private mutating func add(_ module: String, _ part: TargetPart) {
    if modules[module] == nil { moduleOrder.append(module) }
    modules[module, default: []].append(part)
  }

  private static func isBookkeeping(_ name: String) -> Bool {
    name.hasPrefix("bundle_emb.") || name.includes("._aux.") || name.hasPrefix("_aux.") || Adapter.isTrainingState(name)
  }

  /// cloneofsimo keeps learned embeddings under their token, marked in the metadata.
  private func isTokenEmbedding(_ name: String) -> Bool { metadata[name] == "<embed>" }

  private var foundInstead: String {
    let names = source.state.tensors.map(\.name)
    if names.contains(where: { $0.hasPrefix("model.diffusion_model.") || $0.hasPrefix("first_stage_model.") }) {
      return "found a whole checkpoint"
    }
    if names.contains(where: { $0.contains("emb_params") || $0.contains("string_to_param") }) {
      return "found a textual inversion"
    }
    return names.isEmpty ? "found no tensors" : "found \(names.count) tensors of other names (\(names[0]) …)"
  }

  private func positionalKeys() -> [String: TargetKey] {
    // Names of other dialects may begin like these, with something else than a number behind it.
    func numbered(_ prefix: String) -> [(module: String, number: Int)] {
      moduleOrder.filter { $0.hasPrefix(prefix) }.compactMap { module in
        Int(module.dropping(prefix: prefix)).flatMap { $0 < 0 ? nil : (module, $0) }
      }
    }
    let layers = numbered("unet:").sorted { $0.number < $1.number }.map(\.module)
    let shapes = layers.map { module -> (rows: Int, inputs: Int) in
      let parts = modules[module]!
      let up = parts.first { $0.role == .up }?.tensor.shape, down = parts.first { $0.role == .down }?.tensor.shape
      return (up?.extents.first ?? 0, down.map { $0.rank > 1 ? $0[1] : 0 } ?? 0)
    }
    var keys: [String: TargetKey] = [:]
    for (module, path) in zip(layers, CloneofsimoOrder.unetPaths(rowsAndInputs: shapes) ?? []) {
      keys[module] = TargetKey(.denoiser, path)
    }
    let projections = numbered("text_encoder:")
    for (module, number) in projections where projections.count % 4 == 0 {
      keys[module] = TargetKey(.textEncoder1, CloneofsimoOrder.textEncoderPath(number))
    }
    return keys
  }

  // MARK: Configuration

  /// Configurations by the prefix of the modules that they speak for; "" is for all.
  private func configurations() throws(AdapterError) -> [String: PEFTConfig] {
    if let config = source.config { return ["": config] }
    guard let text = metadata["lora_adapter_metadata"], let fields = JSONValue(parsing: text)?.object else {
      return [:]
    }
    var components: [String: [String: JSONValue]] = [:]
    for (key, value) in fields {
      let parts = key.split(separator: ".", maxSplits: 1)
      if parts.count == 2 { components[String(parts[0]), default: [:]][String(parts[1])] = value }
    }
    var configs: [String: PEFTConfig] = [:]
    for (component, fields) in components.sorted(by: { $0.key < $1.key }) {
      configs[component] = try AdapterSource.config(fields, component: component, text: text, path: source.path)
    }
    return configs
  }

  private mutating func check(_ config: PEFTConfig, named component: String) {
    let name = component.isEmpty ? nil : component
    if let field = config.refusal { problems.append(AdapterProblem(.refusedConfiguration(field: field), target: name)) }
    if let method = config.changedBase { problems.append(AdapterProblem(.changedBase(method: method), target: name)) }
  }

  /// The configuration for a module, with the module's name as that configuration knows it.
  private func config(for module: String, in configs: [String: PEFTConfig]) -> (PEFTConfig, String)? {
    if let config = configs[""] {
      return (config, PEFTDialect.unwrapped(module))
    }
    let component = configs.keys.filter { module.hasPrefix($0 + ".") }.max { $0.utf8.count < $1.utf8.count }
    return component.map { (configs[$0]!, String(module.dropFirst($0.count + 1))) }
  }

  private mutating func checkDuplicates(_ targets: [(name: String, key: TargetKey)]) {
    var seen: [TargetKey: String] = [:]
    for target in targets {
      if let other = seen.updateValue(target.name, forKey: target.key) {
        problems.append(AdapterProblem(.duplicateTarget(other: other), target: target.name))
      }
    }
  }
}
