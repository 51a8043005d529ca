import Adapters
public import Checkpoints
import Factoring
import LinearAlgebra
package import Models
import Spectra
public import Tensors

/// A base checkpoint with adapters added: W + Σ strength · delta, computed when asked for.
///
/// Sums are in single precision. The same weight has the same bits on every machine, and a bake to single precision
/// stores these bits.
public struct AdaptedWeights: Sendable {
  /// A target's delta, and where it is added.
  struct Addition: Sendable {
    let target: Target
    /// The file it came from, for messages.
    let file: String
    let strength: Double
    let placement: AdapterFit.Placement
  }

  /// The checkpoint that the deltas are added to; its own files stay as they are.
  public let base: Checkpoint
  /// What is added to each stored weight, by its index.
  let additions: [Int: [Addition]]

  /// - Parameters:
  ///   - adapters: each adapter's match with `base`, and how strongly it is used. Targets that do not fit are left out.
  ///     Changes that depend on a weight are those of the weight as the adapters before have left it.
  ///   - rule: how strengths enter those.
  init(base: Checkpoint, adapters: [(fit: AdapterFit, input: AdapterInput)], rule: StrengthRule) {
    var additions: [Int: [Addition]] = [:]
    for (fit, input) in adapters {
      // The same target's delta wherever it goes.
      var dependents: [Int: Target] = [:]
      let before = AdaptedWeights(base: base, additions: additions)
      for placement in fit.placements {
        let strength = input.strength(for: fit.adapter.targets[placement.target].key)
        guard strength != 0 else { continue }
        var target = fit.adapter.targets[placement.target]
        if let origin = fit.origins[placement.target] {
          target =
            dependents[placement.target]
            ?? before.target(origin, changing: fit.placements(of: placement.target), strength: strength, rule: rule)
          dependents[placement.target] = target
        }
        additions[placement.stored, default: []].append(
          Addition(target: target, file: fit.adapter.path, strength: strength, placement: placement))
      }
    }
    self.init(base: base, additions: additions)
  }

  /// A target whose delta depends on these weights.
  private func target(
    _ origin: BoundTarget, changing placements: [AdapterFit.Placement], strength: Double, rule: StrengthRule
  ) -> Target {
    let isPristine = (placements.map(\.stored) + origin.alsoRead).allSatisfy { additions[$0] == nil }
    let numbers = isPristine ? base.storedNumbers : storedNumbers
    return origin.target(numbers: numbers, strength: strength, rule: rule)
  }

  private var storedNumbers: StoredNumbers {
    { index in
      // Binding has looked whether the weight can be read.
      guard let tensor = try? adapted(index, in: AdditionWorkspace()) else {
        preconditionFailure("a weight that was not bound before")
      }
      return tensor
    }
  }

  init(base: Checkpoint, additions: [Int: [Addition]]) {
    self.base = base
    self.additions = additions
  }

  /// Whether something is added to a network of the base.
  package func changes(_ component: Component) -> Bool {
    additions.keys.contains { base.weights[$0].component == component }
  }

  /// What is added to a weight, as single precision in its shape; `nil` where nothing is.
  ///
  /// - Throws: `CheckpointError.unknownWeight`, `BakingError` for a weight of a format that nothing can be added to.
  public func delta(named name: WeightName) throws -> Tensor? {
    guard let weight = base.weight(named: name) else {
      throw CheckpointError(.unknownWeight("\(name)"), path: base.path)
    }
    guard weight.pieces.contains(where: { additions[$0.stored] != nil }) else { return nil }
    let workspace = AdditionWorkspace()
    return try weight.assembled(shape: weight.shape) { try delta(ofStored: $0, in: workspace) }
  }

  private func delta(ofStored stored: Int, in workspace: AdditionWorkspace) throws -> Tensor {
    let shape = base.weights[stored].entry.shape
    return try Tensor(
      dtype: .f32, shape: shape,
      bytes: Bytes(count: 4 * shape.elementCount) { target in
        let tiles = try WeightTiles(self, stored: stored, in: workspace)
        try tiles.forEach { tile in
          let place = target.baseAddress! + 4 * tile.rows.lowerBound * tiles.columns
          place.copyMemory(from: tile.delta, byteCount: 4 * tile.rows.count * tiles.columns)
        }
      })
  }

  /// A stored weight with everything added, as single precision in the stored tensor's shape.
  func adapted(_ stored: Int, in workspace: AdditionWorkspace) throws -> Tensor {
    let weight = base.weights[stored], tensor = base.decodedTensor(weight)
    guard let rounding = SumRounding(.f32), SumRounding(weight.entry.dtype) != nil else { return tensor }
    return try Tensor(
      dtype: .f32, shape: tensor.shape,
      bytes: Bytes(count: 4 * tensor.elementCount) { target in
        let tiles = try WeightTiles(self, stored: stored, in: workspace)
        var unused = Survival()
        try tiles.forEach { tile in
          let place = target.baseAddress! + 4 * tile.rows.lowerBound * tiles.columns
          rounding.roundNearest(
            base: tile.base, delta: tile.delta, count: tile.rows.count * tiles.columns, into: place, counting: &unused)
        }
      })
  }
}

extension AdaptedWeights {
  /// Refuses changes of a weight whose deltas could not be computed.
  func requireDeltas(of additions: [Addition]) throws(AdapterError) {
    for addition in additions {
      if let problem = addition.target.missingDelta { throw AdapterError(.problem(problem), path: addition.file) }
    }
  }
}

extension AdaptedWeights: WeightSource {
  /// A weight of the adapted model, as single precision.
  ///
  /// - Throws: `CheckpointError`: `unknownWeight` or `weightShape`.
  public func weight(named name: WeightName, shape: Shape) throws -> Tensor {
    let workspace = AdditionWorkspace()
    return try base.read(named: name, shape: shape) { index in
      let tensor = try adapted(index, in: workspace), added = additions[index] ?? []
      if added.contains(where: { $0.target.algorithm == .tlora }), !tensor.floats().allSatisfy(\.isFinite) {
        try requireDeltas(of: added)
      }
      return tensor
    }
  }
}
