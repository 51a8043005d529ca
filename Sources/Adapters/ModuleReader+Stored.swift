import Models
import Tensors

/// Algorithms of which each stands in a file of its own, and LoRA with a factor in blocks.
extension ModuleReader {
  mutating func readStored(_ stored: StoredAlgorithm, _ main: [TargetPart]) throws(TargetFault) {
    let parts = AlgorithmParts(
      tensors: main.tensors, shared: shared, settings: config?.settings, path: config?.path ?? module)
    let found = try stored.read(parts), isTransposed = config?.settings.isFanInFanOut ?? false
    let own = main.map { ($0.label, $0.tensor) }
    if found.alpha == 0 { note(.alphaZero) }
    func dependent(_ change: any WeightChange, isOfBias: Bool) -> DependentTarget {
      DependentTarget(
        name: isOfBias ? module + ".bias" : module, key: isOfBias ? key.bias : key, algorithm: stored.algorithm,
        stored: own,
        alpha: found.alpha, rank: found.rank, change: change, isTransposed: !isOfBias && isTransposed,
        isOptional: isOfBias && found.isBiasOptional, inputs: isOfBias ? 1 : found.inputs,
        reads: isOfBias && found.biasReadsWeight ? key : nil)
    }
    switch found.weight {
    case .factors(let factors):
      targets.append(
        target(
          stored.algorithm, factors, main, alpha: found.alpha, scale: found.scale,
          rank: found.rank ?? factors.up.shape[1], isTransposed: isTransposed))
    case .change(let change): dependents.append(dependent(change, isOfBias: false))
    case .vector, nil: break
    }
    switch found.bias {
    case .change(let change): dependents.append(dependent(change, isOfBias: true))
    case .vector(let values):
      try addVector(
        TargetPart(role: main[0].role, label: main[0].label, name: main[0].name, tensor: values), key.bias, scale: 1)
    case .factors, nil: break
    }
  }

  /// BD-LoRA: of one factor only the blocks on its diagonal are stored, one below the other.
  ///
  /// Source: PEFT 0.21 (`tuners/lora/variants.py`).
  mutating func blockDiagonalTarget(
    _ main: [TargetPart], blocks: (count: Int, isOfInputs: Bool)
  ) throws(TargetFault) -> Target {
    guard let up = main.first(where: { $0.role == .up })?.tensor else { throw TargetFault.missing("lora_B") }
    guard let down = main.first(where: { $0.role == .down })?.tensor else { throw TargetFault.missing("lora_A") }
    let cut = blocks.isOfInputs ? down : up, count = blocks.count
    guard up.shape.rank == 2, down.shape.rank == 2, up.elementCount > 0, down.elementCount > 0,
      cut.shape[0] % count == 0, FactorShapes.isPossible([cut.shape[0], cut.shape[1], count]),
      up.shape[1] * (blocks.isOfInputs ? 1 : count) == down.shape[0]
    else {
      throw TargetFault.shape("factors of which one is in \(count) blocks", "\(up.shape) and \(down.shape)")
    }
    let whole = ComposedFactors.Block(cut).diagonal(count)
    let factors = ComposedFactors(
      product: blocks.isOfInputs ? .init(up) : whole, blocks.isOfInputs ? whole : .init(down))
    let (alpha, scale) = try scaling(rank: down.shape[0], main)
    return target(
      .bdlora, factors, main, alpha: alpha, scale: scale, rank: down.shape[0],
      isTransposed: config?.settings.isFanInFanOut ?? false)
  }
}

extension ComposedFactors.Block {
  /// The rows in `count` parts, each in columns of its own, with zeros beside them.
  fileprivate func diagonal(_ count: Int) -> ComposedFactors.Block {
    let (rows, width) = (rows, inputs), values = values
    return ComposedFactors.Block(rows: rows, inputs: width * count) {
      let own = values()
      var result = [Double](repeating: 0, count: rows * width * count)
      for row in 0..<rows {
        let start = row * width * count + row * count / rows * width
        for column in 0..<width { result[start + column] = own[row * width + column] }
      }
      return result
    }
  }
}
