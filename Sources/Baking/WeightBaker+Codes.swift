import Codecs
import Tensors

extension WeightBaker {
  /// Adds to a weight that is stored as codes: they move on the grid that they lie on, and all else that is stored stays.
  func recode(_ index: Int, on grid: CodeGrid, in workspace: AdditionWorkspace) throws -> Survival {
    let weight = plan.base.weights[index], way = plan.rounding(of: index)
    let tiles = try WeightTiles(plan.weights, stored: index, shaping: way == .shaped, on: grid, in: workspace)
    let seed = plan.recipe.seed ^ weight.entry.name.stableHash
    let bytes = UnsafeMutableRawBufferPointer(copy(of: index, in: workspace))
    var total = Survival()
    try tiles.forEach { tile in
      guard tile.isChanged else { return }
      let count = tile.rows.count * tiles.columns
      let places = workspace.places.room(for: count).baseAddress!, before = workspace.oldPlaces.room(for: count)
      let steps = workspace.steps.room(for: count).baseAddress!
      grid.read(rows: tile.rows, places: places, steps: steps)
      _ = before.update(from: UnsafeBufferPointer(start: places, count: count))
      if let space = tile.space {
        grid.roundShaped(
          places, steps: steps, base: tile.base, delta: tile.delta, rows: tile.rows.count, space: space,
          counting: &total)
      } else if way == .stochastic || way.isRandomWithoutDirections {
        grid.roundStochastically(
          places, steps: steps, base: tile.base, delta: tile.delta, count: count, seed: seed,
          first: tile.rows.lowerBound * tiles.columns, counting: &total)
      } else {
        grid.roundNearest(
          places, steps: steps, base: tile.base, delta: tile.delta, count: count, counting: &total)
      }
      undo?.record(
        index, before: before.baseAddress!, now: places, steps: steps, tile, count: count, on: grid, in: workspace)
      grid.write(rows: tile.rows, places: places, into: bytes)
    }
    guard total.notFiniteCount == 0 else { throw notFinite(index, count: total.notFiniteCount, .f32) }
    try undo?.finish(index)
    try write?(UnsafeRawBufferPointer(bytes), index, 0)
    return total
  }

  /// The stored bytes of a weight, to be changed.
  private func copy(of index: Int, in workspace: AdditionWorkspace) -> UnsafeMutableBufferPointer<UInt8> {
    let stored = plan.base.storedBytes(plan.base.weights[index]), room = workspace.codes.room(for: stored.count)
    stored.withUnsafeBytes { _ = room.update(fromContentsOf: $0) }
    stored.forget()
    return room
  }
}

extension Rounding {
  /// Whether a coarse format draws at random where a delta has no directions to shape errors for: the nearest number would
  /// lose what is smaller than half a step.
  var isRandomWithoutDirections: Bool { self == .shaped }
}

extension WeightPrediction {
  /// Where the base's codes must have been: base = nearest(baked − delta) on the grid that both have.
  ///
  /// - Parameters:
  ///   - places: of the baked codes.
  ///   - base: what the codes stand for; only looked at for numbers that are not finite.
  /// - Returns: the predicted places, good until the next call with this workspace.
  static func places(
    before places: UnsafePointer<UInt8>, steps: UnsafePointer<Float>, base: UnsafePointer<Float>,
    delta: UnsafePointer<Float>, count: Int, on grid: CodeGrid, in workspace: AdditionWorkspace
  ) -> UnsafeMutablePointer<UInt8> {
    let negative = workspace.negative.room(for: count), predicted = workspace.predicted.room(for: count).baseAddress!
    for i in 0..<count { negative[i] = -delta[i] }
    predicted.update(from: places, count: count)
    var unused = Survival()
    grid.roundNearest(
      predicted, steps: steps, base: base, delta: negative.baseAddress!, count: count, counting: &unused)
    return predicted
  }
}
