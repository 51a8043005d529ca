import Adapters
import Checkpoints
import Factoring
import Models
import Spectra
import Tensors

/// A whole weight or bias of a merged PEFT adapter: W + Σ s·(W₁ − W), W being the base's.
///
/// Where strengths add up to 1, W falls out of the sum, and no base is needed.
struct WholeWeightMerge {
  private let recipe: RefactorRecipe
  private let base: Checkpoint?
  /// What could be merged, under its name in the output.
  private(set) var merged: [(name: String, tensor: Tensor)] = []
  private(set) var notes: [PlanNote] = []
  private(set) var skipped: [String] = []

  init(_ recipe: RefactorRecipe, base: Checkpoint?) {
    (self.recipe, self.base) = (recipe, base)
  }

  /// The adapters without what is not worked on as a change of the base: in PEFT's format whole weights that the base has
  /// no place for, in others those that no base is at hand for, if they may be left out; and what PEFT alone reads.
  mutating func take(from adapters: [Adapter], format: AdapterFormat) -> [Adapter] {
    adapters.map { adapter in
      var adapter = adapter
      let homeless = adapter.replacements.filter { base?.weight(for: $0.key) == nil }.map(\.name)
      if format.dialect.isFolder {
        adapter = adapter.removingReplacements(homeless)
      } else if recipe.allowsUnmatched, !homeless.isEmpty {
        adapter = adapter.removingReplacements(homeless)
        skipped += homeless.map { "\(adapter.path): \($0): a whole weight that cannot be merged" }
      }
      guard !format.dialect.isFolder, !adapter.frozen.isEmpty else { return adapter }
      if base == nil {
        notes.append(
          PlanNote(
            "\(adapter.path): \(adapter.frozen.map(\.name).joined(separator: ", ")): left out: a copy of the base's weight, which only PEFT reads",
            remedy: .base(reason: "counts what is not the base's in it")))
      }
      return base == nil ? adapter.withoutFrozen : adapter
    }
  }

  /// A whole weight of one of the inputs.
  private struct Holder {
    let adapter: Int
    let weight: WholeWeight
    let strength: Double
  }

  /// Merges the whole weights and biases, with what factors add to them, and takes them out of `groups`.
  ///
  /// - Parameters:
  ///   - sources: the adapters as their files have them.
  ///   - groups: their targets, with the deltas that the base gives them.
  mutating func merge(_ sources: [Adapter], groups: inout [TargetPairing.Group]) throws {
    var order: [TargetKey] = [], holders: [TargetKey: [Holder]] = [:]
    for (index, adapter) in sources.enumerated() {
      for weight in adapter.replacements {
        if holders[weight.key] == nil { order.append(weight.key) }
        holders[weight.key, default: []].append(
          Holder(adapter: index, weight: weight, strength: recipe.inputs[index].strength(for: weight.key)))
      }
    }
    let members = Dictionary(uniqueKeysWithValues: groups.map { ($0.key, $0.members) })
    groups.removeAll { holders[$0.key] != nil }
    let modules = Set(groups.lazy.map { $0.members[0].target }.filter { $0.kind != .vector }.compactMap(\.dottedPath))
    for key in order { try merge(holders[key]!, members[key] ?? [], sources, key, modules) }
    try keepFrozen(of: sources, besides: modules)
  }

  /// Copies of the base's weights stay beside the factors that they belong to.
  private mutating func keepFrozen(of adapters: [Adapter], besides modules: Set<String>) throws {
    var kept: [String: Tensor] = [:]
    for adapter in adapters {
      for weight in adapter.frozen where modules.contains(weight.module) {
        if let base, let own = base.weight(for: weight.key)?.weight, weight.differs(from: own, of: base) != false {
          continue
        }
        if let other = kept[weight.name] {
          if other.hasSameBytes(as: weight.tensor) { continue }
          guard recipe.allowsUnmatched else {
            throw FactoringError(.conflictingTensor(name: weight.name), path: adapter.path)
          }
          skipped.append("\(adapter.path): \(weight.name): not the weight that the other adapters have")
          continue
        }
        kept[weight.name] = weight.tensor
        merged.append((weight.name, weight.tensor))
      }
    }
  }

  private mutating func merge(
    _ all: [Holder], _ members: [(adapter: Int, target: Target)], _ adapters: [Adapter], _ key: TargetKey,
    _ modules: Set<String>
  ) throws {
    let holders = all.filter { $0.strength != 0 }
    guard let first = holders.first?.weight else { return }
    let isBias = key.parameter == .bias
    let name =
      "\(PEFTDialect.prefix)\(first.module)\(isBias && modules.contains(first.module) ? ".base_layer" : "")"
      + (isBias ? ".bias" : ".weight")
    func fail(_ kind: FactoringError.Kind) throws {
      guard recipe.allowsUnmatched else { throw FactoringError(kind, path: adapters[holders[0].adapter].path) }
      skipped.append("\(adapters[holders[0].adapter].path): \(first.name): a whole weight that cannot be merged")
    }
    let shape = first.tensor.shape
    if let other = holders.first(where: { $0.weight.tensor.shape != shape }) {
      return try fail(
        .weightShape(
          tensor: first.name, expected: other.weight.tensor.shape, file: adapters[other.adapter].path, found: shape))
    }
    let own = base.flatMap { base in base.weight(for: key).map { (base, $0.weight) } }
    if let own, own.1.shape != shape {
      return try fail(.weightShape(tensor: first.name, expected: own.1.shape, file: own.0.path, found: shape))
    }
    let sum = holders.reduce(0) { $0 + $1.strength }, isWhole = (sum - 1).magnitude < 1e-9
    let added = members.filter { !$0.target.isReplacement }.map {
      (target: $0.target, strength: recipe.inputs[$0.adapter].strength(for: key))
    }
    let isSame = holders.allSatisfy { $0.weight.tensor.hasSameBytes(as: first.tensor) }
    if own == nil, !isWhole {
      // A module that is new to the task has nothing in its place; a bias has.
      guard isSame, added.isEmpty,
        !isBias || all.contains(where: { $0.weight.isInSavedModule(of: adapters[$0.adapter]) })
      else {
        return try fail(.wholeWeight(name: first.name, strengths: sum, adapters: holders.count))
      }
      notes.append(
        PlanNote(
          "\(adapters[holders[0].adapter].path): \(first.name): put in whole, whatever the strength, because what it replaces is not known",
          remedy: .base(reason: nil)))
    }
    guard !(isSame && added.isEmpty && (isWhole || own == nil)) else {
      merged.append((name, first.tensor))
      return
    }
    let dtypes = Set(holders.map(\.weight.tensor.dtype))
    let dtype = recipe.dtype ?? (dtypes.count == 1 && dtypes.first!.bits > 8 ? dtypes.first! : .f32)
    merged.append((name, Self.sum(holders, own: isWhole ? nil : own, rest: 1 - sum, added, shape: shape, dtype: dtype)))
  }

  /// Computed when it is asked for: such weights are the largest of a model.
  private static func sum(
    _ holders: [Holder], own: (base: Checkpoint, weight: NamedWeight)?, rest: Double,
    _ added: [(target: Target, strength: Double)], shape: Shape, dtype: DType
  ) -> Tensor {
    Tensor(
      dtype: dtype, shape: shape,
      bytes: Bytes(count: shape.elementCount * dtype.bits / 8) {
        var sum = [Double](repeating: 0, count: shape.elementCount)
        func add(_ values: [Double], times factor: Double) {
          for i in sum.indices { sum[i] += factor * values[i] }
        }
        if let own {
          add(own.weight.assembled(shape: shape, stored: own.base.storedNumbers).doubles(), times: rest)
        }
        for holder in holders { add(holder.weight.tensor.doubles(), times: holder.strength) }
        for (target, strength) in added {
          let product = target.product()
          let isTurned = target.isTransposed || target.shape != shape
          add(
            isTurned && shape.rank == 2 ? product.transposed(rows: target.rows, columns: target.columns) : product,
            times: strength)
        }
        return Tensor(sum, shape: shape, dtype: dtype).bytes
      })
  }
}

extension WholeWeight {
  /// Whether its module was saved whole, rather than its bias being trained beside factors.
  fileprivate func isInSavedModule(of adapter: Adapter) -> Bool {
    adapter.replacements.contains { $0.module == module && $0.key.parameter == .weight }
  }
}
