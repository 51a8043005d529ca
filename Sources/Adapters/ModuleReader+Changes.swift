import Tensors

/// Changes that depend on the weight.
extension ModuleReader {
  mutating func readChange(_ algorithm: Algorithm, _ main: [TargetPart]) throws(TargetFault) {
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
        alternatives: algorithm == .expertLora && parameters.count > 1 ? parameters : []))
  }

  /// Whether the factors are those of a stacked weight: they have the configured rank for each expert.
  func areStacked(_ main: [TargetPart]) -> Bool {
    guard !parameters.isEmpty, let down = main.first(where: { $0.role == .down })?.tensor.shape else { return false }
    return parameters.count > 1 || config?.settings.rank(of: config!.path) != down.extents.first
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
}
