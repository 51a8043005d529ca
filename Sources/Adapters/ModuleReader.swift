import Models
import Tensors

/// Makes targets of one module's tensors: of its weight, and of its bias where the adapter has something for it.
struct ModuleReader {
  let module: String
  let key: TargetKey
  let parts: [TargetPart]
  /// The configuration that speaks for the module, and the module's name there.
  let config: (settings: PEFTConfig, path: String)?
  /// Tensors that all targets of the file share.
  let shared: [String: Tensor]

  var targets: [Target] = []
  var dependents: [DependentTarget] = []
  var unsupported: [UnsupportedTarget] = []
  var frozen: [WholeWeight] = []
  var problems: [AdapterProblem] = []

  /// The parameters inside the module that the targets may be for, where it is not the module's weight.
  let parameters: [TargetKey]

  init(
    module: String, key: TargetKey, parts: [TargetPart], config: (PEFTConfig, String)?, shared: [String: Tensor]
  ) {
    (self.module, self.parts, self.shared) = (module, parts, shared)
    let found = config.map { $0.0.parameters(of: $0.1) }
    parameters = found.map { found in found.names.map { TargetKey(key, parameter: $0) } } ?? []
    self.key = parameters.count == 1 ? parameters[0] : key
    self.config = config.map { settings, path in
      (settings, found!.names.count == 1 ? "\(found!.module).\(found!.names[0])" : path)
    }
  }

  mutating func read() {
    let all = Set(parts.compactMap(\.algorithm))
    // Torch's attention holds its output projection in the module that PEFT has around it.
    let isAttentionOutput = config != nil && module.hasSuffix(".base_layer.out_proj")
    if let algorithm = config?.settings.unsupported ?? (isAttentionOutput ? .attentionOutput : nil)
      ?? all.filter(\.isOnlyRecognised).min(by: { $0.rawValue < $1.rawValue })
    {
      return refuse(algorithm)
    }
    do {
      try check()
      let main = parts.filter { !$0.isCompanion }
      // AdaLoRA ends with such targets; of a file without a configuration and singular values they are a fault.
      let isPruned = main.isPruned && (config != nil || main.contains { $0.role == .other(.adalora) })
      if isPruned { note(.pruned) }
      let added = try main.isEmpty || isPruned ? nil : readWeight(main)
      for part in parts where part.isCompanion { try readCompanion(part, of: added) }
    } catch {
      problems.append(AdapterProblem(error.kind, target: module))
    }
  }

  private mutating func refuse(_ algorithm: Algorithm) {
    let weights = parts.filter { $0.role != .alpha && $0.role != .scale }
    unsupported.append(
      UnsupportedTarget(
        name: module, key: key, algorithm: algorithm, tensors: parts.map(\.name),
        dtype: weights.max { $0.tensor.elementCount < $1.tensor.elementCount }?.tensor.dtype ?? .f32,
        parameterCount: weights.reduce(0) { $0 + $1.tensor.elementCount }, inputs: parts.inputs))
    problems.append(AdapterProblem(.unsupported(algorithm), target: module))
  }

  /// Each tensor once, and of a format that can be read.
  private func check() throws(TargetFault) {
    var names: [String: String] = [:]
    for part in parts {
      // Dialects have several names for a LoRA's factors.
      let identity: String
      if case .other = part.role { identity = part.label } else { identity = "\(part.role)" }
      if let other = names.updateValue(part.name, forKey: identity) {
        throw TargetFault(kind: .duplicateTarget(other: other))
      }
      guard part.tensor.dtype.isReadable || part.role == .alpha else {
        throw TargetFault(kind: .unreadable(part.tensor.dtype))
      }
    }
  }

  // MARK: The weight

  /// - Returns: the target whose scale the module's bias shares.
  private mutating func readWeight(_ main: [TargetPart]) throws(TargetFault) -> Target? {
    let algorithm = main.mainAlgorithm(areStacked(main) ? .expertLora : config?.settings.algorithm)
    if let configured = config?.settings.algorithm, !configured.hasTensors(of: algorithm) {
      refuse(configured == .lora ? algorithm : configured)
      return nil
    }
    if let stored = StoredAlgorithm.byAlgorithm[algorithm] {
      guard !main.contains(where: { $0.role == .other(.dora) }) else {
        refuse(.dora)
        return nil
      }
      try readStored(stored, main)
      return nil
    }
    if Algorithm.dependent.contains(algorithm) {
      guard !main.contains(where: { $0.role == .other(.dora) }) else {
        refuse(.dora)
        return nil
      }
      try readChange(algorithm, main)
      return nil
    }
    let target = try target(algorithm, main)
    guard let magnitude = main.first(where: { $0.role == .other(.dora) }) else {
      if config?.settings.isDecomposed == true { throw TargetFault.missing("lora_magnitude_vector") }
      targets.append(target)
      return target
    }
    guard
      let change = MagnitudeChange(
        magnitude.tensor, named: magnitude.name, on: target, isPlain: magnitude.label != "dora_scale")
    else {
      throw TargetFault.shape(
        "\(magnitude.label) for \(target.rows) rows or \(target.inputs) inputs", "\(magnitude.tensor.shape)")
    }
    dependents.append(
      DependentTarget(
        name: module, key: key, algorithm: .dora, stored: target.stored + [(magnitude.label, magnitude.tensor)],
        alpha: target.alpha, rank: target.storedRank, change: change, isTransposed: target.isTransposed,
        isOptional: false, inputs: target.inputs))
    return target
  }

  private mutating func target(_ algorithm: Algorithm, _ main: [TargetPart]) throws(TargetFault) -> Target {
    switch algorithm {
    case .loha, .lokr, .full: try composedTarget(algorithm, main)
    case .embedding: try embeddingTarget(main)
    case .adalora: try adaptiveTarget(main)
    case .kasa: try singularTarget(main)
    default:
      if let config, let blocks = config.settings.blocks(of: config.path) {
        try blockDiagonalTarget(main, blocks: blocks)
      } else {
        try loraTarget(main)
      }
    }
  }

  private mutating func loraTarget(_ main: [TargetPart]) throws(TargetFault) -> Target {
    func part(_ role: Role) -> TargetPart? { main.first { $0.role == role } }
    guard let down = part(.down) else { throw TargetFault.missing("a down factor") }
    guard let up = part(.up) else { throw TargetFault.missing("an up factor") }
    let mid = part(.mid)
    if let fault = FactorShapes.fault(up: up.tensor.shape, down: down.tensor.shape, mid: mid?.tensor.shape) {
      throw TargetFault(kind: fault)
    }
    let rank = down.tensor.shape[0]
    if let configured = config?.settings.rank(of: config!.path), configured != rank {
      note(.configuredRank(expected: configured, found: rank))
    }
    let (alpha, scale) = try scaling(rank: rank, main)
    let kind: Target.Kind = mid != nil ? .tucker : down.tensor.shape.rank > 2 ? .conv : .linear
    let target = Target(
      name: module, key: key, kind: kind, up: up.tensor, down: down.tensor, mid: mid?.tensor,
      names: .init(up: up.name, down: down.name, mid: mid?.name, alpha: (part(.scale) ?? part(.alpha))?.name),
      alpha: alpha, scale: scale, isTransposed: kind == .linear && (config?.settings.isFanInFanOut ?? false))
    noteRank(of: target)
    return target
  }

  private mutating func composedTarget(
    _ algorithm: Algorithm, _ main: [TargetPart]
  ) throws(TargetFault) -> Target {
    let composed = try ComposedTarget(
      algorithm, main.tensors, kernel: key.usualKernel, isOfPEFT: config != nil)
    var (alpha, scale): (Double?, Double) = (nil, 1)
    if let config {
      // PEFT multiplies whatever the matrices are, by the rank that it was asked for.
      let rank = config.settings.rank(of: config.path) ?? composed.rank
      if algorithm != .full { (alpha, scale) = try scaling(rank: rank, main) }
    } else if composed.usesAlpha {
      (alpha, scale) = try scaling(rank: composed.rank, main)
    }
    return target(
      algorithm, composed.factors, main, alpha: alpha, scale: scale, rank: composed.rank, isTransposed: false)
  }

  /// A table of embeddings, whose rows are the factors' columns.
  private mutating func embeddingTarget(_ main: [TargetPart]) throws(TargetFault) -> Target {
    let a = try TargetFault.matrix("lora_embedding_A", main.tensors)
    let b = try TargetFault.matrix("lora_embedding_B", main.tensors)
    guard a.shape[0] == b.shape[1] else { throw TargetFault.disagreement(b, a) }
    let (alpha, scale) = try scaling(rank: a.shape[0], main)
    let factors = ComposedFactors(up: .init(b), down: .init(a))
    return target(.embedding, factors, main, alpha: alpha, scale: scale, rank: a.shape[0], isTransposed: true)
  }

  /// AdaLoRA: components with weights of their own, of which some were pruned.
  private mutating func adaptiveTarget(_ main: [TargetPart]) throws(TargetFault) -> Target {
    let (factors, rank) = try weightedFactors(main, weights: "lora_E")
    // Today's files have no such tensor; then it is the rank that training began with, however many were pruned.
    let divisor = main.tensors["ranknum"]?.scalar ?? config?.settings.initialRank ?? Double(rank)
    guard divisor.isFinite, divisor >= 0 else { throw TargetFault(kind: .alphaNotFinite(found: divisor)) }
    let alpha = config?.settings.alpha(of: config!.path)
    return target(
      .adalora, factors, main, alpha: alpha, scale: (alpha ?? divisor) / (divisor + 1e-5), rank: rank,
      isTransposed: config?.settings.isFanInFanOut ?? false)
  }

  /// KaSA: components with weights of their own, on a base that lost its smallest ones.
  private mutating func singularTarget(_ main: [TargetPart]) throws(TargetFault) -> Target {
    let (factors, rank) = try weightedFactors(main, weights: "lora_diag")
    let (alpha, scale) = try scaling(rank: rank, main)
    return target(
      .kasa, factors, main, alpha: alpha, scale: scale, rank: rank,
      isTransposed: config?.settings.isFanInFanOut ?? false)
  }

  /// Factors between which the tensor `name` has a number for each component.
  private func weightedFactors(
    _ main: [TargetPart], weights name: String
  ) throws(TargetFault) -> (factors: ComposedFactors, rank: Int) {
    guard let up = main.first(where: { $0.role == .up })?.tensor else { throw TargetFault.missing("lora_B") }
    guard let down = main.first(where: { $0.role == .down })?.tensor else { throw TargetFault.missing("lora_A") }
    guard let weights = main.tensors[name] else { throw TargetFault.missing(name) }
    guard up.shape.rank == 2, down.shape.rank == 2, up.shape[1] == down.shape[0], weights.elementCount == up.shape[1],
      up.elementCount > 0, down.elementCount > 0
    else { throw TargetFault.shape("equal ranks of all factors", "\(up.shape), \(weights.shape) and \(down.shape)") }
    let columns = down.shape[1]
    let weighted = ComposedFactors.Block(down).unfolded(key.usualKernel).mapping { values in
      let own = weights.doubles()
      return values.indices.map { values[$0] * own[$0 / columns] }
    }
    return (ComposedFactors(up: .init(up), down: weighted), up.shape[1])
  }

  func target(
    _ algorithm: Algorithm, _ factors: ComposedFactors, _ main: [TargetPart], alpha: Double?, scale: Double, rank: Int,
    isTransposed: Bool
  ) -> Target {
    Target(
      name: module, key: key, kind: factors.down.shape.rank > 2 ? .conv : .linear, up: factors.up, down: factors.down,
      mid: nil, whole: factors.whole,
      names: algorithm == .embedding
        ? .init(up: module + ".lora_embedding_B", down: module + ".lora_embedding_A")
        : .init(up: module + ".lora_up.weight", down: module + ".lora_down.weight", alpha: module + ".alpha"),
      alpha: alpha, scale: scale, isTransposed: isTransposed, algorithm: algorithm, storedRank: rank,
      stored: main.filter { $0.role != .alpha && $0.role != .other(.dora) }.map { ($0.label, $0.tensor) },
      kronecker: factors.kronecker)
  }

  // MARK: Alpha

  mutating func note(_ kind: AdapterProblem.Kind) { problems.append(AdapterProblem(kind, target: module)) }

  private mutating func noteRank(of target: Target) {
    guard target.rank > min(target.rows, target.columns) else { return }
    note(.rankAboveDimensions(rank: target.rank, rows: target.rows, columns: target.columns))
  }

  /// The number in the alpha tensor.
  func storedAlpha(_ main: [TargetPart]) throws(TargetFault) -> Double? {
    guard let tensor = main.first(where: { $0.role == .alpha })?.tensor else { return nil }
    guard let value = tensor.scalar else { throw TargetFault(kind: .alphaNotScalar(found: tensor.shape)) }
    guard value.isFinite else { throw TargetFault(kind: .alphaNotFinite(found: value)) }
    return value
  }

  /// What the factors are multiplied by, and the alpha behind it: of a tensor, else of the configuration.
  mutating func scaling(
    rank: Int, _ main: [TargetPart]
  ) throws(TargetFault) -> (alpha: Double?, scale: Double) {
    var alpha = config?.settings.alpha(of: config!.path)
    var scale = config.map { $0.settings.scale(of: $0.path, rank: rank) } ?? 1
    if let value = try storedAlpha(main) { (alpha, scale) = (value, value / Double(rank)) }
    if alpha == 0 { note(.alphaZero) }
    if let value = main.first(where: { $0.role == .scale })?.tensor.scalar {
      guard value.isFinite else { throw TargetFault(kind: .alphaNotFinite(found: value)) }
      scale = value
    }
    return (alpha, scale)
  }
}
