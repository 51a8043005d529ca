public import Checkpoints
import FoundationEssentials
import Safetensors
import Tensors

extension Adapter {
  /// Reads the adapter at `path`: a safetensors file, a torch pickle, or a PEFT folder.
  ///
  /// Faults of single targets are collected in `problems`, so that a broken file can still be looked at.
  ///
  /// - Throws: `SafetensorsError`, `TorchPickleError` or `AdapterError` when there is nothing to look at.
  public init(path: String) throws {
    let source = try AdapterSource(path: path)
    var reader = AdapterReader(source)
    self = try reader.read()
  }

  /// Reads an adapter whose tensors are in `tensorFile` and whose configuration is at hand: one that is being written.
  public init(tensorFile: String, configuration: JSONValue?) throws {
    let config = try configuration.flatMap { value in
      try value.object.map { try AdapterSource.config($0, text: value.text, path: tensorFile) }
    }
    var reader = AdapterReader(
      AdapterSource(path: tensorFile, tensorFile: tensorFile, state: try StateDict(path: tensorFile), config: config))
    self = try reader.read()
  }
}

/// Where an adapter's tensors and configuration come from.
struct AdapterSource {
  let path: String
  let tensorFile: String
  let state: StateDict
  let config: PEFTConfig?

  init(path: String, tensorFile: String, state: StateDict, config: PEFTConfig?) {
    (self.path, self.tensorFile, self.state, self.config) = (path, tensorFile, state, config)
  }

  init(path: String) throws {
    self.path = path
    var isFolder = false
    tensorFile = try Self.tensorFile(at: path, isFolder: &isFolder)
    state = try StateDict(path: tensorFile)
    let parts = tensorFile.split(separator: "/", omittingEmptySubsequences: false)
    // A PEFT model file means nothing without the configuration beside it, whichever of the two ways it is named.
    config =
      try isFolder || parts.last!.hasPrefix("adapter_model.")
      ? Self.config(inFolder: parts.count > 1 ? parts.dropLast().joined(separator: "/") : ".") : nil
  }

  private static func tensorFile(at path: String, isFolder: inout Bool) throws(AdapterError) -> String {
    let manager = FileManager.default
    var directory: Bool = false
    guard manager.fileExists(atPath: path, isDirectory: &directory), directory else { return path }
    isFolder = true
    let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
    for name in ["adapter_model.safetensors", "adapter_model.bin", "pytorch_lora_weights.safetensors"] {
      let file = "\(folder)/\(name)"
      if manager.fileExists(atPath: file) { return file }
    }
    throw AdapterError(.notAnAdapter(reason: "found a folder without adapter_model.safetensors"), path: path)
  }

  private static func config(inFolder folder: String) throws -> PEFTConfig? {
    let file = "\(folder)/adapter_config.json"
    let found = try JSONValue.object(inFile: file) { AdapterError(.configuration(reason: $0), path: folder) }
    return try found.map { try config($0.fields, text: $0.text, path: folder) }
  }

  static func config(
    _ fields: [String: JSONValue], component: String? = nil, text: String, path: String
  ) throws(AdapterError) -> PEFTConfig {
    do throws(ConfigurationFault) {
      return try PEFTConfig(fields, component: component, text: text)
    } catch { throw AdapterError(.configuration(reason: error.reason), path: path) }
  }
}

/// Sorts a file's tensors into targets.
struct AdapterReader {
  private let source: AdapterSource
  private let metadata: [String: String]
  private var problems: [AdapterProblem] = []
  private var modules: [String: [(role: Role, name: String, tensor: Tensor)]] = [:]
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
    let format = detectFormat()
    let configs = try configurations()
    for config in Set(configs.keys).sorted() { check(configs[config]!, named: config) }

    let positional = format == .cloneofsimo ? positionalKeys() : [:]
    var targets: [Target] = [], unsupported: [UnsupportedTarget] = []
    for module in moduleOrder {
      let parts = modules[module]!
      let algorithm = otherAlgorithm(of: parts, configs: configs)
      if let algorithm, configs.isEmpty, isComposed(algorithm, parts) {
        let key = TargetSpelling.key(of: module, format: format)
        if let target = composedTarget(module, parts, as: algorithm, key: key) { targets.append(target) }
      } else if let algorithm {
        unsupported.append(describe(module, parts, as: algorithm, format: format))
        problems.append(AdapterProblem(.unsupported(algorithm), target: module))
      } else {
        let key = positional[module] ?? TargetSpelling.key(of: module, format: format)
        if let target = target(module, parts, key: key, configs: configs) { targets.append(target) }
      }
    }
    checkDuplicates(targets)
    let claim = Family.claimed(by: metadata)
    let shaped = Family.detect(targets.map { ($0.key, $0.inputs) } + unsupported.map { ($0.key, $0.inputs) })
    let family = shaped == .unknown ? claim ?? .unknown : shaped
    if let claim, claim != family {
      problems.append(AdapterProblem(.familyMetadata(expected: family.rawValue, found: claim.rawValue)))
    }
    if metadata["ss_network_args"]?.contains("\"split_qkv\": \"True\"") == true {
      problems.append(AdapterProblem(.splitProjections))
    }
    problems += unknown.map { AdapterProblem(.unknownTensor, target: $0) }
    return Adapter(
      path: source.path, format: format, family: family, targets: targets, unsupported: unsupported,
      passedThrough: passedThrough, unknown: unknown, metadata: source.state.metadata,
      configuration: source.config?.fields,
      problems: problems, byteCount: source.state.byteCount, tensorFile: source.tensorFile, data: source.state.data)
  }

  // MARK: Grouping

  private mutating func group() {
    for (name, tensor) in source.state.tensors {
      if name == "lora_controlnet" {
        add(name, role: .other(.controlLora), name: name, tensor)
      } else if Self.isBookkeeping(name) || isTokenEmbedding(name) {
        passedThrough.append((name, tensor))
      } else if let parsed = KeyGrammar.parse(name), parsed.role != .scale || tensor.elementCount == 1 {
        add(parsed.module, role: parsed.role, name: name, tensor)
      } else {
        unknown.append(name)
      }
    }
    // A LyCORIS IA3 vector is called plain `weight`, and a PEFT file may carry replaced modules: both are told by
    // their neighbours.
    let unnamed = Set(unknown)
    unknown = []
    for (name, tensor) in source.state.tensors where unnamed.contains(name) {
      guard let suffix = [".weight", ".bias"].first(where: name.hasSuffix),
        case let module = name.dropping(suffix: suffix),
        case let isIA3 = modules[module]?.contains(where: { $0.role == .other(.ia3) }) == true,
        isIA3 || name.hasPrefix("base_model.model.")
      else {
        unknown.append(name)
        continue
      }
      add(module, role: .other(isIA3 ? .ia3 : .full), name: name, tensor)
    }
  }

  private mutating func add(_ module: String, role: Role, name: String, _ tensor: Tensor) {
    if modules[module] == nil { moduleOrder.append(module) }
    modules[module, default: []].append((role, name, tensor))
  }

  private static func isBookkeeping(_ name: String) -> Bool {
    name.hasPrefix("bundle_emb.") || name.includes("._aux.") || name.hasPrefix("_aux.")
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

  private func detectFormat() -> AdapterFormat {
    let names = moduleOrder
    func any(_ test: (String) -> Bool) -> Bool { names.contains(where: test) }
    if any({ $0.hasPrefix("unet:") || $0.hasPrefix("text_encoder:") }) { return .cloneofsimo }
    if any({ $0.includes(".processor.qkv_lora") || $0.includes(".processor.proj_lora") }) { return .xlabs }
    if source.config != nil || any({ $0.includes("base_model.model.") }) { return .peft }
    if any({ $0.hasPrefix("diffusion_model.") || $0.hasPrefix("text_encoders.") }) { return .native }
    if any(TargetSpelling.hasFlatPrefix) { return .kohya }
    let diffusersPrefixes = [
      "unet.", "transformer.", "transformer_2.", "text_encoder", "prior.", "down_blocks.", "up_blocks.", "mid_block.",
    ]
    if any({ name in diffusersPrefixes.contains { name.hasPrefix($0) } || name.hasPrefix("transformer_blocks.") }) {
      return .diffusers
    }
    return .native
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
    for (component, fields) in components {
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
      var path = module
      while path.hasPrefix("base_model.model.") { path.removeFirst("base_model.model.".count) }
      return (config, path)
    }
    for (component, config) in configs where module.hasPrefix(component + ".") {
      return (config, String(module.dropFirst(component.count + 1)))
    }
    return nil
  }

  // MARK: Targets

  private func otherAlgorithm(
    of parts: [(role: Role, name: String, tensor: Tensor)], configs: [String: PEFTConfig]
  ) -> Algorithm? {
    var found: Set<Algorithm> = []
    for case (.other(let algorithm), let name, let tensor) in parts {
      // Butterfly blocks have one axis more; a convolution's `rescale` has four axes too, and tells nothing.
      found.insert(name.hasSuffix(".oft_blocks") && tensor.shape.rank == 4 ? .boft : algorithm)
    }
    // DoRA may sit on top of any other algorithm, and a bias beside one: the most telling name wins.
    for algorithm in [Algorithm.dora, .loha, .lokr, .glora, .boft, .oft, .ia3, .tlora, .adalora]
    where found.contains(algorithm) { return algorithm }
    return found.min { $0.rawValue < $1.rawValue } ?? configs[""]?.unsupported?.algorithm
  }

  private func describe(
    _ module: String, _ parts: [(role: Role, name: String, tensor: Tensor)], as algorithm: Algorithm,
    format: AdapterFormat
  ) -> UnsupportedTarget {
    let weights = parts.filter { $0.role != .alpha && $0.role != .scale }
    return UnsupportedTarget(
      name: module, key: TargetSpelling.key(of: module, format: format), algorithm: algorithm,
      tensors: parts.map(\.name),
      dtype: weights.max { $0.tensor.elementCount < $1.tensor.elementCount }?.tensor.dtype ?? .f32,
      parameterCount: weights.reduce(0) { $0 + $1.tensor.elementCount }, inputs: inputs(of: weights))
  }

  /// Input channels of a linear target in another algorithm's shapes.
  private func inputs(of parts: [(role: Role, name: String, tensor: Tensor)]) -> Int {
    func columns(_ suffixes: String...) -> Int? {
      parts.first { part in suffixes.contains { part.name.hasSuffix("." + $0) } && part.tensor.shape.rank == 2 }?.tensor
        .shape[1]
    }
    if let outer = columns("lokr_w1", "lokr_w1_b"), let inner = columns("lokr_w2", "lokr_w2_b") { return outer * inner }
    return columns("hada_w1_b", "lora_down.weight", "lora_A.weight", "diff", "b2.weight") ?? 0
  }

  /// Whether the delta can be put together from the parts: nothing beside them changes it, or the bias.
  private func isComposed(
    _ algorithm: Algorithm, _ parts: [(role: Role, name: String, tensor: Tensor)]
  ) -> Bool {
    guard [.loha, .lokr, .full].contains(algorithm) else { return false }
    return parts.allSatisfy { part in
      switch part.role {
      case .alpha: true
      case .other(algorithm): algorithm != .full || part.name.hasSuffix(".diff") && part.tensor.shape.rank >= 2
      default: false
      }
    }
  }

  private mutating func composedTarget(
    _ module: String, _ parts: [(role: Role, name: String, tensor: Tensor)], as algorithm: Algorithm, key: TargetKey
  ) -> Target? {
    func report(_ kind: AdapterProblem.Kind) -> Target? {
      problems.append(AdapterProblem(kind, target: module))
      return nil
    }
    var stored: [(label: String, tensor: Tensor)] = [], alpha: Double?
    for part in parts {
      guard part.role != .alpha else {
        guard let value = part.tensor.scalar else { return report(.alphaNotScalar(found: part.tensor.shape)) }
        alpha = value
        continue
      }
      guard part.tensor.dtype.isReadable else { return report(.unreadable(part.tensor.dtype)) }
      stored.append((part.name.dropping(prefix: module + "."), part.tensor))
    }
    let composed: ComposedTarget
    do {
      composed = try ComposedTarget(
        algorithm, Dictionary(stored.map { ($0.label, $0.tensor) }, uniquingKeysWith: { a, _ in a }),
        kernel: key.usualKernel)
    } catch { return report(error.kind) }
    var scale = 1.0
    if composed.usesAlpha, let alpha {
      guard alpha.isFinite else { return report(.alphaNotFinite(found: alpha)) }
      if alpha == 0 { problems.append(AdapterProblem(.alphaZero, target: module)) }
      scale = alpha / Double(composed.rank)
    }
    return Target(
      name: module, key: key, kind: composed.factors.down.shape.rank > 2 ? .conv : .linear, up: composed.factors.up,
      down: composed.factors.down, mid: nil,
      names: .init(
        up: module + ".lora_up.weight", down: module + ".lora_down.weight", alpha: module + ".alpha"),
      alpha: composed.usesAlpha ? alpha : nil, scale: scale, isTransposed: false, algorithm: algorithm,
      storedRank: composed.rank, stored: stored)
  }

  private mutating func target(
    _ module: String, _ parts: [(role: Role, name: String, tensor: Tensor)], key: TargetKey,
    configs: [String: PEFTConfig]
  ) -> Target? {
    func report(_ kind: AdapterProblem.Kind) -> Target? {
      problems.append(AdapterProblem(kind, target: module))
      return nil
    }
    var byRole: [Role: (name: String, tensor: Tensor)] = [:]
    for part in parts {
      if let other = byRole[part.role] { return report(.duplicateTarget(other: other.name)) }
      byRole[part.role] = (part.name, part.tensor)
    }
    guard let down = byRole[.down] else { return report(.missingFactor(expected: "a down factor")) }
    guard let up = byRole[.up] else { return report(.missingFactor(expected: "an up factor")) }
    let mid = byRole[.mid]
    for tensor in [up.tensor, down.tensor] + (mid.map { [$0.tensor] } ?? []) where !tensor.dtype.isReadable {
      return report(.unreadable(tensor.dtype))
    }
    if let fault = FactorShapes.fault(up: up.tensor.shape, down: down.tensor.shape, mid: mid?.tensor.shape) {
      return report(fault)
    }
    let rank = up.tensor.shape[1]

    let config = config(for: module, in: configs)
    var alpha = config?.0.alpha(of: config!.1)
    var scale = config.map { $0.0.scale(of: $0.1, rank: down.tensor.shape[0]) } ?? 1
    if let configured = config?.0.rank(of: config!.1), configured != down.tensor.shape[0] {
      problems.append(
        AdapterProblem(.configuredRank(expected: configured, found: down.tensor.shape[0]), target: module))
    }
    if alpha == 0, byRole[.alpha] == nil { problems.append(AdapterProblem(.alphaZero, target: module)) }
    if let tensor = byRole[.alpha]?.tensor {
      guard let value = tensor.scalar else { return report(.alphaNotScalar(found: tensor.shape)) }
      guard value.isFinite else { return report(.alphaNotFinite(found: value)) }
      alpha = value
      scale = value / Double(down.tensor.shape[0])
      if value == 0 { problems.append(AdapterProblem(.alphaZero, target: module)) }
    }
    if let tensor = byRole[.scale]?.tensor, let value = tensor.scalar {
      guard value.isFinite else { return report(.alphaNotFinite(found: value)) }
      scale = value
    }
    let kind: Target.Kind = mid != nil ? .tucker : down.tensor.shape.rank > 2 ? .conv : .linear
    let target = Target(
      name: module, key: key, kind: kind, up: up.tensor, down: down.tensor, mid: mid?.tensor,
      names: .init(up: up.name, down: down.name, mid: mid?.name, alpha: (byRole[.scale] ?? byRole[.alpha])?.name),
      alpha: alpha, scale: scale, isTransposed: kind == .linear && (config?.0.isFanInFanOut ?? false))
    if rank > min(target.rows, target.columns) {
      problems.append(
        AdapterProblem(.rankAboveDimensions(rank: rank, rows: target.rows, columns: target.columns), target: module))
    }
    return target
  }

  private mutating func checkDuplicates(_ targets: [Target]) {
    var seen: [TargetKey: Target] = [:]
    for target in targets {
      if let other = seen.updateValue(target, forKey: target.key) {
        problems.append(AdapterProblem(.duplicateTarget(other: other.name), target: target.name))
      }
    }
  }
}
