package import Checkpoints
import Codecs
package import Tensors

extension AdaptedWeights {
  /// A weight as a bake into the base's own codes may store it: numbers that something is added to become one of the two codes next
  /// to them, drawn at random, and all others stay.
  ///
  /// It shows what no bake into such a base can avoid, whichever codes it chooses.
  /// - Returns: single precision; `nil` where nothing is added to codes.
  /// - Throws: what `weight(named:shape:)` throws.
  package func weightInOwnCodes(named name: WeightName, shape: Shape) throws -> Tensor? {
    let changed = (base.weight(named: name)?.pieces ?? []).filter { additions[$0.stored] != nil }
    guard changed.contains(where: { base.grid(ofStored: $0.stored) != nil }) else { return nil }
    let workspace = AdditionWorkspace()
    return try base.read(named: name, shape: shape) { index in
      guard additions[index] != nil, let grid = base.grid(ofStored: index) else {
        return try adapted(index, in: workspace)
      }
      return try recoded(index, on: grid, in: workspace)
    }
  }

  private func recoded(_ stored: Int, on grid: CodeGrid, in workspace: AdditionWorkspace) throws -> Tensor {
    let entry = base.weights[stored].entry, seed = entry.name.stableHash
    return try Tensor(
      dtype: .f32, shape: entry.shape,
      bytes: Bytes(count: 4 * entry.shape.elementCount) { target in
        let tiles = try WeightTiles(self, stored: stored, on: grid, in: workspace)
        let numbers = target.bindMemory(to: Float.self)
        var unused = Survival()
        try tiles.forEach { tile in
          let first = tile.rows.lowerBound * tiles.columns, count = tile.rows.count * tiles.columns
          let own = UnsafeMutableBufferPointer(rebasing: numbers[first..<first + count])
          _ = own.update(fromContentsOf: UnsafeBufferPointer(start: tile.base, count: count))
          guard tile.isChanged else { return }
          let (places, steps) = workspace.read(grid, rows: tile.rows, count: count)
          let before = workspace.oldPlaces.room(for: count).baseAddress!
          before.update(from: places, count: count)
          grid.roundStochastically(
            places, steps: steps, base: tile.base, delta: tile.delta, count: count, seed: seed, first: first,
            counting: &unused)
          let change = workspace.other.room(for: count)
          grid.readChange(from: before, to: places, steps: steps, into: change)
          grid.rotate(change)
          for i in own.indices { own[i] += change[i] }
        }
      })
  }
}

extension Checkpoint {
  /// Whether weights are codes of eight bits or fewer, between which lie steps that deltas are small beside.
  package var hasCodes: Bool { weights.indices.contains { grid(ofStored: $0) != nil } }

  /// The codes that a stored weight's numbers have; `nil` for numbers of more than eight bits, and for codes that are only read.
  fileprivate func grid(ofStored index: Int) -> CodeGrid? {
    let weight = weights[index]
    if let codec = weight.quantisation?.codec { return codec.grid }
    guard weight.component != .other else { return nil }
    return GridCodec(plain: tensor(weight))?.grid
  }
}
