public import Checkpoints
package import Models
package import Tensors

/// An adapter whose every target has a delta, as far as a base has the weights for it.
public struct BoundAdapter: Sendable {
  /// Its targets are those that the file holds, then those that the base gave deltas to.
  public let adapter: Adapter
  /// What the latter were made of, by their index in the adapter's targets.
  package let origins: [Int: BoundTarget]
  private let base: Checkpoint
  /// Targets that the base has no weight for, and why.
  public let misfits: [(target: DependentTarget, misfit: Misfit)]

  fileprivate init(
    _ adapter: Adapter, origins: [Int: BoundTarget], misfits: [(target: DependentTarget, misfit: Misfit)],
    base: Checkpoint
  ) {
    (self.adapter, self.origins, self.misfits, self.base) = (adapter, origins, misfits, base)
  }

  /// Why a base has no place for a target: no weight of that name, or one of another shape, in words of a message.
  public enum Misfit: Sendable {
    case missing
    case shape(expected: String, found: String)
  }
}

/// The numbers of a base's stored weight, by its index: those of the base, or with changes that come before.
package typealias StoredNumbers = @Sendable (_ stored: Int) -> Tensor

extension Adapter {
  /// Computes, when asked for, the deltas of targets that depend on `base`: DoRA, GLoRA, OFT, (IA)³ and others.
  ///
  /// Nothing is read but weights that the file holds too.
  ///
  /// - Throws: `CheckpointError` for weights whose numbers cannot be read.
  public func bound(to base: Checkpoint) throws -> BoundAdapter {
    var targets = targets, origins: [Int: BoundTarget] = [:]
    var misfits: [(target: DependentTarget, misfit: BoundAdapter.Misfit)] = []
    var problems = problems.filter { !$0.dependsOnBase }
    let rebased = try rebased(on: base)
    for (index, target) in targets.enumerated() {
      guard let weight = rebased[target.key], let dependent = DependentTarget(target, rebasedOn: weight.tensor),
        case .success(let place) = try dependent.fit(on: base)
      else { continue }
      let origin = BoundTarget(target: dependent, place: place)
      origins[index] = origin
      targets[index] = origin.target(numbers: base.storedNumbers, strength: 1, rule: .linear)
    }
    for dependent in dependents {
      let weight = dependent.change is Replacement ? nil : rebased[dependent.key]
      let dependent = weight.map { dependent.rebased(on: $0.tensor) } ?? dependent
      switch try dependent.fit(on: base) {
      case .success(let place):
        let origin = BoundTarget(target: dependent, place: place)
        origins[targets.count] = origin
        targets.append(origin.target(numbers: base.storedNumbers, strength: 1, rule: .linear))
      case .failure(let fault):
        guard !(dependent.isOptional && fault.isMissing) else { continue }
        misfits.append((dependent, fault.misfit))
        problems.append(
          AdapterProblem(.notInBase(dependent.algorithm, reason: fault.reason), target: dependent.name))
      }
    }
    problems += rebased.values.map { AdapterProblem(.otherBaseWeight, target: $0.name) }
      .sorted { $0.target! < $1.target! }
    let adapter = replacing(
      targets: targets, dependents: [], frozen: frozen.filter { rebased[$0.key] == nil }, problems: problems)
    return BoundAdapter(adapter, origins: origins, misfits: misfits, base: base)
  }

  /// The base weights in the file that are not those of `base`, of targets with factors.
  private func rebased(on base: Checkpoint) throws -> [TargetKey: WholeWeight] {
    guard !frozen.isEmpty else { return [:] }
    let keys = Set(targets.map(\.key)).union(dependents.lazy.filter { !($0.change is Replacement) }.map(\.key))
    var result: [TargetKey: WholeWeight] = [:]
    for weight in frozen where keys.contains(weight.key) {
      guard let (own, _) = base.weight(for: weight.key) else { continue }
      try base.requireReadable(own)
      if weight.differs(from: own, of: base) == true { result[weight.key] = weight }
    }
    return result
  }
}

extension Adapter {
  /// What stands in the base's place: whole modules and biases.
  package var replacements: [WholeWeight] {
    dependents.compactMap { target in
      (target.change as? Replacement).map { WholeWeight(name: target.name, key: target.key, tensor: $0.value) }
    }
  }

  /// The adapter without whole weights of these names.
  package func removingReplacements(_ names: [String]) -> Adapter { removing(names) }

  /// The adapter without copies of the base's weights.
  package var withoutFrozen: Adapter { replacing(frozen: []) }

  /// The adapter with values that stand in the base's place as tensors to be copied, not as targets.
  package var keepingReplacements: Adapter {
    let values = replacements
    guard !values.isEmpty || !frozen.isEmpty else { return self }
    return removing(values.map(\.name)).replacing(
      passedThrough: passedThrough + (values + frozen).map { ($0.name, $0.tensor) }, frozen: [])
  }

  /// The adapter without some of the targets that depend on the base, and without what is said of them.
  private func removing(_ names: [String]) -> Adapter {
    let names = Set(names)
    return replacing(
      dependents: dependents.filter { !names.contains($0.name) },
      problems: problems.filter { !($0.dependsOnBase && $0.target.map(names.contains) == true) })
  }

  /// The adapter with DoRA targets as if they had no lengths: to look at their factors.
  package var withoutMagnitudes: Adapter {
    let decomposed = dependents.compactMap { ($0.change as? MagnitudeChange)?.added }
    return removing(decomposed.map(\.name)).replacing(targets: targets + decomposed)
  }
}

extension Checkpoint {
  /// The weight that a target changes, under any dialect.
  package func weight(for key: TargetKey) -> (weight: NamedWeight, flatName: String)? {
    key.weightNames.lazy.compactMap { name in self.weight(flatName: name, in: key.component).map { ($0, name) } }.first
  }

  /// Refuses a weight whose numbers cannot be read.
  fileprivate func requireReadable(_ weight: NamedWeight) throws {
    for piece in weight.pieces {
      let stored = weights[piece.stored]
      guard stored.entry.dtype.isReadable else {
        throw CheckpointError(.unreadable(tensor: stored.entry.name, dtype: stored.entry.dtype.rawValue), path: path)
      }
    }
  }

  /// The numbers of stored weights, as the base has them.
  package var storedNumbers: StoredNumbers {
    { index in decodedTensor(weights[index]) }
  }
}

/// Where a dependent target's weight is.
struct DependentPlace {
  let key: TargetKey
  let change: any WeightChange
  let weight: NamedWeight
  /// Whether the base stores (inputs, outputs).
  let isTransposed: Bool
  /// The weight that the change reads besides, and whether the base stores that as (inputs, outputs).
  var other: (weight: NamedWeight, isTransposed: Bool)?
}

/// Why a base has no weight for a target.
struct DependentFault: Error {
  let misfit: BoundAdapter.Misfit
  let reason: String

  var isMissing: Bool { if case .missing = misfit { true } else { false } }
}

extension DependentTarget {
  fileprivate func fit(on base: Checkpoint) throws -> Result<DependentPlace, DependentFault> {
    guard alternatives.isEmpty else {
      return .failure(
        DependentFault(
          misfit: .missing,
          reason: "expected target_parameters that tell which weight it is, found \(alternatives.map(\.path))"))
    }
    guard let (weight, _) = base.weight(for: key) else {
      return .failure(
        DependentFault(misfit: .missing, reason: "expected a weight of this name in the base, found none"))
    }
    try base.requireReadable(weight)
    // What the model is says more than the adapter's configuration.
    var change = change
    if var experts = change as? ExpertChange {
      experts.hasInputsFirst = base.storesTransposed(module: key.path)
      change = experts
    }
    if var rotary = change as? RotaryOrderChange {
      rotary.heads = base.attentionHeads.map { rotary.isOfQueries ? $0.queries : $0.keys }
      change = rotary
    }
    // A whole weight and stacked experts are stored as the model has them.
    let isAsStored = change is ExpertChange || change is Replacement
    // Tables of words are stored one way round whatever the model does with its matrices.
    let orientations =
      isAsStored
      ? [false]
      : algorithm == .embedding || (change as? HadamardChange)?.isOfTable == true
        ? [true] : [base.storesTransposed(module: key.path), isTransposed].compactMap { $0 }
    var fault: AdapterProblem.Kind?
    for isTransposed in orientations {
      if var rebased = change as? RebasedChange {
        rebased.isTransposed = isTransposed
        change = rebased
      }
      let size = Size(weight.shape, isTransposed: isTransposed)
      fault = change.fault(rows: size.rows, inputs: size.inputs, kernel: size.kernel)
      if fault == nil {
        var place = DependentPlace(key: key, change: change, weight: weight, isTransposed: isTransposed)
        guard let reads else { return .success(place) }
        guard let (other, _) = base.weight(for: reads) else {
          return .failure(
            DependentFault(misfit: .missing, reason: "expected the weight beside it in the base, found none"))
        }
        try base.requireReadable(other)
        let isTransposed = base.storesTransposed(module: reads.path) ?? false
        let size = Size(other.shape, isTransposed: isTransposed)
        fault = change.fault(given: size.rows, inputs: size.inputs * size.kernel.reduce(1, *))
        guard fault == nil else { break }
        place.other = (other, isTransposed)
        return .success(place)
      }
    }
    guard case .factorShape(let expected, let found)? = fault else { preconditionFailure("a fault of another kind") }
    return .failure(
      DependentFault(
        misfit: .shape(expected: found, found: expected),
        reason: "shape: expected \(found) as the base has, found \(expected)"))
  }
}

/// A target that depends on the base, with the weight that it changes.
package struct BoundTarget: Sendable {
  let target: DependentTarget
  let place: DependentPlace

  /// The target with its delta, which is computed when it is asked for.
  ///
  /// - Parameters:
  ///   - numbers: of the weights that it changes.
  ///   - strength: what the delta will be multiplied by.
  package func target(numbers: @escaping StoredNumbers, strength: Double, rule: StrengthRule) -> Target {
    let change = place.other.map { place.change.given(block($0.weight, $0.isTransposed, numbers)) } ?? place.change
    return target.target(
      place.key, change, of: block(numbers), shape: place.weight.shape, isTransposed: place.isTransposed,
      strength: strength, rule: rule)
  }

  /// Stored weights that the delta depends on beside those that it is added to, by their index.
  package var alsoRead: [Int] { place.other?.weight.pieces.map(\.stored) ?? [] }

  private func block(_ numbers: @escaping StoredNumbers) -> ComposedFactors.Block {
    block(place.weight, place.isTransposed, numbers)
  }

  /// A weight as rows × inputs × kernel.
  private func block(
    _ weight: NamedWeight, _ isTransposed: Bool, _ numbers: @escaping StoredNumbers
  ) -> ComposedFactors.Block {
    let size = Size(weight.shape, isTransposed: isTransposed)
    return ComposedFactors.Block(rows: size.rows, inputs: size.inputs, kernel: size.kernel) {
      let values = weight.assembled(shape: weight.shape, stored: numbers).doubles()
      return isTransposed ? values.transposed(rows: size.inputs, columns: size.rows) : values
    }
  }

  /// Of DoRA the lengths and the low-rank part, which together are the delta.
  package func magnitude(numbers: @escaping StoredNumbers) -> BoundMagnitude? {
    (place.change as? MagnitudeChange).map { BoundMagnitude($0, on: block(numbers)) }
  }
}

extension BoundAdapter {
  /// The adapter with only the low-rank part of DoRA targets, and the lengths that belong to them.
  package func takingMagnitudesApart() -> (adapter: Adapter, magnitudes: [TargetKey: BoundMagnitude]) {
    var targets = adapter.targets, magnitudes: [TargetKey: BoundMagnitude] = [:]
    for (index, origin) in origins {
      guard let magnitude = origin.magnitude(numbers: base.storedNumbers) else { continue }
      targets[index] = magnitude.lowRank
      magnitudes[magnitude.lowRank.key] = magnitude
    }
    return (adapter.replacing(targets: targets), magnitudes)
  }
}

/// A weight's shape as rows × inputs × kernel.
private struct Size {
  let rows: Int
  let inputs: Int
  let kernel: [Int]

  init(_ shape: Shape, isTransposed: Bool) {
    let extents = shape.extents
    guard extents.count > 1 else {
      (rows, inputs, kernel) = (extents.first ?? 1, 1, [])
      return
    }
    (rows, inputs) = isTransposed ? (extents[1], extents[0]) : (extents[0], extents[1])
    kernel = Array(extents.dropFirst(2))
  }
}
