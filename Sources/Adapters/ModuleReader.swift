import Tensors

/// A tensor of a module, with what it is there.
struct TargetPart {
  let role: Role
  /// What the tensor is called in its module.
  let label: String
  /// In the file.
  let name: String
  let tensor: Tensor
}

/// Makes targets of one module's tensors: of its weight, and of its bias where the adapter has something for it.
struct ModuleReader {
  let module: String
  let key: TargetKey
  let parts: [TargetPart]
  /// The configuration that speaks for the module, and the module's name there.
  let config: (settings: PEFTConfig, path: String)?
  /// Tensors that all targets of the file share.
  let shared: [String: Tensor]

  private(set) var targets: [Target] = []
  private(set) var dependents: [DependentTarget] = []
  private(set) var unsupported: [UnsupportedTarget] = []
  private(set) var problems: [AdapterProblem] = []

  init(
    module: String, key: TargetKey, parts: [TargetPart], config: (PEFTConfig, String)?, shared: [String: Tensor]
  ) {
    (self.module, self.key, self.parts, self.config, self.shared) = (module, key, parts, config, shared)
  }

  mutating func read() {
    let all = Set(parts.compactMap(\.algorithm))
    if let algorithm = config?.settings.unsupported
      ?? all.filter(\.isOnlyRecognised).min(by: { $0.rawValue < $1.rawValue })
    {
      return refuse(algorithm)
    }
    do {
      try check()
      let main = parts.filter { !$0.isCompanion }
      let added = try main.isEmpty ? nil : readWeight(main)
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
    let algorithm = main.mainAlgorithm(config?.settings.algorithm)
    if let configured = config?.settings.algorithm, !configured.hasTensors(of: algorithm) {
      refuse(configured == .lora ? algorithm : configured)
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
    default: try loraTarget(main)
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
    let composed = try ComposedTarget(algorithm, main.tensors, kernel: key.usualKernel)
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
    guard let up = main.first(where: { $0.role == .up })?.tensor else { throw TargetFault.missing("lora_B") }
    guard let down = main.first(where: { $0.role == .down })?.tensor else { throw TargetFault.missing("lora_A") }
    guard let weights = main.tensors["lora_E"] else { throw TargetFault.missing("lora_E") }
    guard up.shape.rank == 2, down.shape.rank == 2, up.shape[1] == down.shape[0], weights.elementCount == up.shape[1],
      up.elementCount > 0, down.elementCount > 0
    else { throw TargetFault.shape("equal ranks of all factors", "\(up.shape), \(weights.shape) and \(down.shape)") }
    let columns = down.shape[1]
    let weighted = ComposedFactors.Block(down).unfolded(key.usualKernel).mapping { values in
      let own = weights.doubles()
      return values.indices.map { values[$0] * own[$0 / columns] }
    }
    // Today's files have no such tensor; then it is the rank that training began with, however many were pruned.
    let divisor = main.tensors["ranknum"]?.scalar ?? config?.settings.initialRank ?? Double(up.shape[1])
    guard divisor.isFinite, divisor >= 0 else { throw TargetFault(kind: .alphaNotFinite(found: divisor)) }
    let alpha = config?.settings.alpha(of: config!.path)
    return target(
      .adalora, ComposedFactors(up: .init(up), down: weighted), main, alpha: alpha,
      scale: (alpha ?? divisor) / (divisor + 1e-5), rank: up.shape[1],
      isTransposed: config?.settings.isFanInFanOut ?? false)
  }

  private func target(
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

  private mutating func note(_ kind: AdapterProblem.Kind) { problems.append(AdapterProblem(kind, target: module)) }

  private mutating func noteRank(of target: Target) {
    guard target.rank > min(target.rows, target.columns) else { return }
    note(.rankAboveDimensions(rank: target.rank, rows: target.rows, columns: target.columns))
  }

  /// The number in the alpha tensor.
  private func storedAlpha(_ main: [TargetPart]) throws(TargetFault) -> Double? {
    guard let tensor = main.first(where: { $0.role == .alpha })?.tensor else { return nil }
    guard let value = tensor.scalar else { throw TargetFault(kind: .alphaNotScalar(found: tensor.shape)) }
    guard value.isFinite else { throw TargetFault(kind: .alphaNotFinite(found: value)) }
    return value
  }

  /// What the factors are multiplied by, and the alpha behind it: of a tensor, else of the configuration.
  private mutating func scaling(
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

  // MARK: Changes that depend on the weight

  private mutating func readChange(_ algorithm: Algorithm, _ main: [TargetPart]) throws(TargetFault) {
    let tensors = main.tensors, settings = config?.settings
    var alpha = try storedAlpha(main), rank: Int?
    let change: any WeightChange
    switch algorithm {
    case .glora:
      let mixing = try MixingChange(tensors, alpha: alpha)
      (change, rank) = (mixing, mixing.rank)
    case .tlora:
      let principal = try PrincipalChange(tensors, alpha: alpha)
      (change, rank) = (principal, principal.rank)
      note(.assumedStart)
    case .ia3: change = try scalingChange(main)
    case .hra:
      let directions = try TargetFault.matrix("hra_u", tensors)
      (change, rank) = (
        HouseholderChange(directions: directions, isOrthogonalised: settings?.orthogonalises ?? false),
        directions.shape[1]
      )
    case .vera:
      let projection = try SharedProjectionChange(tensors, shared: shared)
      (change, rank) = (projection, projection.rank)
    case .expertLora:
      change = try expertChange(main)
      alpha = settings?.alpha(of: config!.path)
    default: change = try rotation(main, alpha: alpha ?? 0)
    }
    dependents.append(
      DependentTarget(
        name: module, key: key, algorithm: algorithm,
        stored: main.filter { $0.role != .alpha }.map { ($0.label, $0.tensor) }, alpha: alpha, rank: rank,
        change: change, isTransposed: settings?.isFanInFanOut ?? false, isOptional: false, inputs: main.inputs,
        alternatives: algorithm == .expertLora ? expertKeys : nil))
  }

  /// The stacked weight of a module that the target is for; all of them where it is not known which.
  ///
  /// Each more of them lies one `base_layer` deeper, those that the model registers first the deepest.
  private var expertKeys: [TargetKey] {
    var path = key.path, depth = 0
    while path.hasSuffix("_base_layer") { (path, depth) = (path.dropping(suffix: "_base_layer"), depth + 1) }
    let own = config?.settings.targetParameters.filter { parameter in
      let owner = parameter.split(separator: ".").dropLast().joined(separator: "_")
      return owner.isEmpty || path == owner || path.hasSuffix("_" + owner)
    }
    let names = own?.compactMap { $0.split(separator: ".").last.map(String.init) } ?? []
    func weight(_ name: String) -> TargetKey { TargetKey(key.component, "\(path)_\(name)") }
    let registered = ["gate_up_proj", "gate_proj", "up_proj", "down_proj"].filter(names.contains)
    guard names.count > 1, registered.count == names.count, depth < names.count else { return names.map(weight) }
    return [weight(registered[names.count - 1 - depth])]
  }

  private func rotation(_ main: [TargetPart], alpha: Double) throws(TargetFault) -> any WeightChange {
    let tensors = main.tensors
    if tensors["boft_R"] != nil { return try RotationChange(butterflies: tensors) }
    if tensors["oft_R.weight"] != nil || tensors["oft_R"] != nil {
      return try RotationChange(triangles: tensors, settings: config?.settings)
    }
    let isKohya = module.hasPrefix("oft_unet_") || module.hasPrefix("oft_te")
    let numbered = main.compactMap { part in
      part.label.hasPrefix("oft_blocks.")
        ? Int(part.label.dropFirst("oft_blocks.".count)).map { ($0, part.tensor) } : nil
    }.sorted { $0.0 < $1.0 }
    guard !numbered.isEmpty else { return try RotationChange(blocks: tensors, alpha: alpha, isKohya: isKohya) }
    var segments: [(rows: Int, change: any WeightChange)] = []
    for (_, tensor) in numbered {
      let change = try RotationChange(blocks: ["oft_blocks": tensor], alpha: alpha, isKohya: isKohya)
      segments.append((tensor.shape[0] * tensor.shape[1], change))
    }
    return SegmentedChange(parts: segments)
  }

  private mutating func scalingChange(_ main: [TargetPart]) throws(TargetFault) -> ScalingChange {
    if let numbers = main.tensors["ia3_l"] {
      let extents = numbers.shape.extents
      // (outputs, 1) or (1, inputs) of a matrix; a convolution's tell nothing, the configuration does.
      let isOnInputs =
        extents.count == 2 && extents[0] != extents[1]
        ? extents[0] == 1 : config.map { $0.settings.isFeedForward($0.path) } ?? false
      let change = ScalingChange(numbers: numbers, isOnInputs: isOnInputs, offset: -1)
      if !isOnInputs {
        dependents.append(
          DependentTarget(
            name: module + ".bias", key: key.bias, algorithm: .ia3, stored: [("ia3_l", numbers)], alpha: nil, rank: nil,
            change: change, isTransposed: false, isOptional: true, inputs: 1))
      }
      return change
    }
    guard let numbers = main.tensors["weight"] else { throw TargetFault.missing("weight") }
    guard let isOnInputs = main.tensors["on_input"]?.scalar else { throw TargetFault.missing("on_input") }
    return ScalingChange(numbers: numbers, isOnInputs: isOnInputs != 0, offset: 0)
  }

  private func expertChange(_ main: [TargetPart]) throws(TargetFault) -> ExpertChange {
    guard let up = main.first(where: { $0.role == .up })?.tensor else { throw TargetFault.missing("lora_B") }
    guard let down = main.first(where: { $0.role == .down })?.tensor else { throw TargetFault.missing("lora_A") }
    guard up.shape.rank == 2, down.shape.rank == 2, up.shape[1] == down.shape[0], up.elementCount > 0,
      down.elementCount > 0
    else { throw TargetFault.disagreement(up, down) }
    return ExpertChange(
      up: up, down: down, alpha: config?.settings.alpha(of: config!.path),
      isRankStabilised: config?.settings.usesRankStabilisation ?? false)
  }

  // MARK: Bias and norms

  /// - Parameter weight: the module's LoRA, where it has one.
  private mutating func readCompanion(_ part: TargetPart, of weight: Target?) throws(TargetFault) {
    switch part.label {
    case "set_weight", "weight", "bias":
      dependents.append(
        DependentTarget(
          name: part.name, key: part.label == "bias" ? key.bias : key, algorithm: .full,
          stored: [(part.label, part.tensor)], alpha: nil, rank: nil, change: Replacement(value: part.tensor),
          isTransposed: false, isOptional: false, inputs: part.tensor.shape.flattened.columns))
    case "lora_B.bias", "lora_up.bias": try addVector(part, key.bias, scale: weight?.scale ?? 1)
    case "diff_b", "b_norm": try addVector(part, key.bias, scale: 1)
    default: try addVector(part, key, scale: 1)
    }
  }

  private mutating func addVector(_ part: TargetPart, _ key: TargetKey, scale: Double) throws(TargetFault) {
    let tensor = part.tensor
    guard tensor.shape.rank == 1, tensor.elementCount > 0 else {
      throw TargetFault.shape("\(part.label) as a vector", "\(tensor.shape)")
    }
    targets.append(
      Target(
        name: part.name, key: key, kind: .vector,
        up: Tensor(dtype: tensor.dtype, shape: [tensor.elementCount, 1], bytes: tensor.bytes),
        down: Tensor([1], shape: [1, 1], dtype: .f32), mid: nil, names: .init(up: part.name, down: part.name),
        alpha: nil, scale: scale, isTransposed: false, algorithm: part.algorithm ?? .bias,
        stored: [(part.label, tensor)]))
  }
}

extension TargetPart {
  var algorithm: Algorithm? { if case .other(let algorithm) = role { algorithm } else { nil } }

  /// Whether it is beside what changes a weight by an algorithm: something for a bias or a norm, or a value to put in place.
  fileprivate var isCompanion: Bool {
    switch algorithm {
    case .bias, .norm: true
    case .full: label != "diff" || tensor.shape.rank < 2
    default: false
    }
  }
}

extension Algorithm {
  /// Those whose delta depends on the weight, or on its size.
  fileprivate static let dependent: Set<Algorithm> = [.glora, .oft, .boft, .ia3, .tlora, .hra, .vera, .expertLora]

  /// Whether a configuration of this algorithm may stand beside tensors of another.
  fileprivate func hasTensors(of other: Algorithm) -> Bool {
    self == other || ([.lora, .expertLora].contains(self) && [.lora, .embedding, .expertLora].contains(other))
  }

  /// Whether no delta can be computed.
  fileprivate var isOnlyRecognised: Bool {
    [.sparseBias, .controlLora, .tokenAdapter, .reshape, .fourierft].contains(self)
  }
}

extension [TargetPart] {
  fileprivate var tensors: [String: Tensor] {
    Dictionary(map { ($0.label, $0.tensor) }, uniquingKeysWith: { first, _ in first })
  }

  /// The algorithm of the weight's change, what lies on top of it aside.
  ///
  /// - Parameter configured: what the configuration says of LoRA's own tensor names.
  fileprivate func mainAlgorithm(_ configured: Algorithm?) -> Algorithm {
    let found = Set(compactMap(\.algorithm)).subtracting([.dora])
    if found == [.oft] {
      // Butterfly blocks have one axis more; a convolution's `rescale` has four axes too, and tells nothing.
      return contains { $0.label == "oft_blocks" && $0.tensor.shape.rank == 4 } ? .boft : .oft
    }
    if let algorithm = found.min(by: { $0.rawValue < $1.rawValue }) { return algorithm }
    return configured == .expertLora ? .expertLora : .lora
  }

  /// Input channels of a linear target, by the shapes of its tensors; 0 where they do not tell.
  fileprivate var inputs: Int {
    func columns(_ labels: String...) -> Int? {
      first { part in labels.contains(part.label) && part.tensor.shape.rank == 2 }?.tensor.shape[1]
    }
    if let outer = columns("lokr_w1", "lokr_w1_b"), let inner = columns("lokr_w2", "lokr_w2_b") { return outer * inner }
    return columns("hada_w1_b", "lora_down.weight", "lora_A.weight", "diff", "b2.weight", "q_layer.weight") ?? 0
  }
}
