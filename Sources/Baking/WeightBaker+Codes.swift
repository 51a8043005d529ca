import Codecs
import Tensors

extension WeightBaker {
  /// Adds to a weight that is stored as codes: they move on the grid that they lie on, and all else that is stored stays.
  func recode(_ index: Int, on grid: CodeGrid, in workspace: AdditionWorkspace) throws -> Survival {
    let weight = plan.base.weights[index], way = plan.rounding(of: index)
    let tiles = try WeightTiles(plan.weights, stored: index, shaping: way == .shaped, on: grid, in: workspace)
    let seed = plan.recipe.seed ^ weight.entry.name.stableHash
    let bytes = workspace.copy(of: plan.base.storedBytes(weight))
    var total = Survival()
    try tiles.forEach { tile in
      guard tile.isChanged else { return }
      let count = tile.rows.count * tiles.columns
      let (places, steps) = workspace.read(grid, rows: tile.rows, count: count)
      let before = workspace.oldPlaces.room(for: count).baseAddress!
      before.update(from: places, count: count)
      if let space = tile.space {
        grid.roundShaped(
          places, steps: steps, base: tile.base, delta: tile.delta, rows: tile.rows.count, space: space,
          counting: &total)
      } else if way != .nearest {
        // Where there are no directions to shape errors for, too: the nearest code would lose what is smaller than half a step.
        grid.roundStochastically(
          places, steps: steps, base: tile.base, delta: tile.delta, count: count, seed: seed,
          first: tile.rows.lowerBound * tiles.columns, counting: &total)
      } else {
        grid.roundNearest(
          places, steps: steps, base: tile.base, delta: tile.delta, count: count, counting: &total)
      }
      undo?.record(
        index, before: before, now: places, steps: steps, tile, count: count, on: grid, in: workspace)
      grid.write(rows: tile.rows, places: places, into: bytes)
    }
    guard total.notFiniteCount == 0 else { throw notFinite(index, count: total.notFiniteCount, .f32) }
    try undo?.finish(index)
    try write?(UnsafeRawBufferPointer(bytes), index, 0)
    return total
  }
}
