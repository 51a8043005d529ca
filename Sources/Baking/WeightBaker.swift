import Checkpoints
import LinearAlgebra
import Tensors

/// Works on one stored weight of a bake at a time: adds, rounds, counts, and hands the bytes on.
struct WeightBaker {
  let plan: BakePlan
  /// Where bytes of a tensor go, by its place in the base; `nil` when nothing is written.
  let write: (@Sendable (_ bytes: UnsafeRawBufferPointer, _ index: Int, _ offset: Int) throws -> Void)?
  let undo: UndoRecorder?

  private static let copyBytes = 4 << 20

  /// - Returns: what became of the delta; `nil` for a weight that nothing is added to.
  func bake(_ index: Int, in workspace: AdditionWorkspace) throws -> Survival? {
    let weight = plan.base.weights[index]
    guard let dtype = plan.outputs[index] else { return nil }
    let isChanged = plan.weights.additions[index] != nil
    if !isChanged, dtype == weight.entry.dtype, plan.keepsFormat(index) {
      // The scale of an 8-bit weight is written with the weight, which may change it.
      if !isChangedScale(index) { try copy(index) }
      return nil
    }
    guard write != nil || isChanged else { return nil }
    if let grid = plan.recoded[index] { return try recode(index, on: grid, in: workspace) }
    if let blocks = plan.formats?[index].blocks { return try addQuantised(index, to: blocks, in: workspace) }
    return try add(index, as: dtype, in: workspace)
  }

  // MARK: Copies

  private func copy(_ index: Int) throws {
    try write(plan.base.storedBytes(plan.base.weights[index]), of: index)
  }

  func write(_ bytes: Bytes, of index: Int) throws {
    guard let write else { return }
    for start in stride(from: 0, to: bytes.count, by: Self.copyBytes) {
      let part = bytes[start..<min(start + Self.copyBytes, bytes.count)]
      try part.withUnsafeBytes { try write($0, index, start) }
      part.forget()
    }
  }

  // MARK: Sums

  private func add(_ index: Int, as dtype: DType, in workspace: AdditionWorkspace) throws -> Survival {
    let weight = plan.base.weights[index]
    let isShaped = plan.rounding(of: index) == .shaped && dtype != .f32
    let tiles = try WeightTiles(plan.weights, stored: index, shaping: isShaped, in: workspace)
    let rounding = SumRounding(dtype)!, isSameFormat = dtype == weight.entry.dtype
    let scales = isSameFormat ? try fittingScales(of: weight, tiles, rounding) : [1]
    let seed = plan.recipe.seed ^ weight.entry.name.stableHash, rowBytes = tiles.columns * dtype.bits / 8
    var changed = Survival(), unchanged = Survival()
    try tiles.forEach { tile in
      let offset = tile.rows.lowerBound * rowBytes
      if !tile.isChanged, isSameFormat, scales == tiles.scales {
        try write?(tile.stored, index, offset)
        return
      }
      let output = UnsafeMutableRawBufferPointer(workspace.output.room(for: tile.rows.count * rowBytes))
      let survival = round(
        tile, tiles, scales: scales, rounding, plan.rounding(of: index), seed: seed, into: output.baseAddress!)
      if tile.isChanged { changed += survival } else { unchanged += survival }
      let bytes = UnsafeRawBufferPointer(output)
      try undo?.record(index, tile, tiles: tiles, output: bytes, dtype: dtype, scales: scales, in: workspace)
      try write?(bytes, index, offset)
    }
    let badCount = changed.notFiniteCount + unchanged.notFiniteCount
    guard badCount == 0 else { throw notFinite(index, count: badCount, dtype) }
    try undo?.finish(index)
    try writeScale(of: index, scales, was: tiles.scales)
    return changed
  }

  /// Rounds a tile's sums in the way that the recipe asks for. Rows that nothing is added to have no directions to shape
  /// errors for, and are rounded to the nearest.
  private func round(
    _ tile: WeightTiles.Tile, _ tiles: WeightTiles, scales: [Float], _ rounding: SumRounding, _ way: Rounding,
    seed: UInt64, into target: UnsafeMutableRawPointer
  ) -> Survival {
    var survival = Survival()
    let columns = tiles.columns
    // A coarse format draws at random where a delta has no directions to shape errors for: the nearest number would lose what is
    // smaller than half a step.
    let isRandom = way == .stochastic || way == .shaped && tile.isChanged && rounding.dtype.bits < 16
    if let space = tile.space {
      let rowScales = tile.rows.map { tiles.scale($0, of: scales) }
      rowScales.withUnsafeBufferPointer {
        rounding.roundShaped(
          base: tile.base, delta: tile.delta, scales: $0, rows: tile.rows.count, space: space, into: target,
          counting: &survival)
      }
      return survival
    }
    // With one scale the whole tile is one run; otherwise every row is.
    let height = scales.count == 1 ? tile.rows.count : 1
    for row in stride(from: tile.rows.lowerBound, to: tile.rows.upperBound, by: height) {
      let offset = (row - tile.rows.lowerBound) * columns, count = height * columns,
        scale = tiles.scale(row, of: scales)
      let place = target + offset * rounding.dtype.bits / 8
      if isRandom {
        rounding.roundStochastically(
          base: tile.base + offset, delta: tile.delta + offset, scale: scale, count: count, seed: seed,
          first: row * columns, into: place, counting: &survival)
      } else {
        rounding.roundNearest(
          base: tile.base + offset, delta: tile.delta + offset, scale: scale, count: count, into: place,
          counting: &survival)
      }
    }
    return survival
  }

  // MARK: Scales of 8-bit weights

  private func isChangedScale(_ index: Int) -> Bool { plan.scaledWeights[index] != nil }

  /// The scales of a weight's rows after the sum, as they are stored: the old ones where the sums fit, larger ones where
  /// they would not.
  private func fittingScales(
    of weight: Checkpoint.Weight, _ tiles: WeightTiles, _ rounding: SumRounding
  ) throws -> [Float] {
    guard let stored = weight.quantisation?.scale.map({ plan.base.weights[$0] }) else { return [1] }
    var largest = [Float](repeating: 0, count: tiles.scales.count)
    try tiles.forEach { tile in
      for row in tile.rows {
        let offset = (row - tile.rows.lowerBound) * tiles.columns
        let value = SumRounding.largestSum(base: tile.base + offset, delta: tile.delta + offset, count: tiles.columns)
        let place = largest.count == 1 ? 0 : row
        largest[place] = max(largest[place], value)
      }
    }
    return zip(tiles.scales, largest).map { old, largest in
      let needed = largest / rounding.largest
      return needed > old ? needed.roundedUp(to: stored.entry.dtype) : old
    }
  }

  private func writeScale(of index: Int, _ scales: [Float], was old: [Float]) throws {
    let weight = plan.base.weights[index]
    guard let write, let place = weight.quantisation?.scale, plan.scaledWeights[place] != nil else { return }
    let tensor = plan.base.tensor(plan.base.weights[place])
    let bytes =
      scales == old ? tensor.bytes : Tensor(scales.map(Double.init), shape: tensor.shape, dtype: tensor.dtype).bytes
    try bytes.withUnsafeBytes { try write($0, place, 0) }
  }

  // MARK: Faults

  /// Finds whether the base, a factor or the sum is to blame.
  func notFinite(_ index: Int, count: Int, _ dtype: DType) -> any Error {
    let weight = plan.base.weights[index]
    for addition in plan.weights.additions[index] ?? [] {
      for (factor, tensor) in addition.target.stored where tensor.doubles().contains(where: { !$0.isFinite }) {
        return BakingError(
          .notFinite(
            weight: weight.entry.name, count: count, dtype: dtype.rawValue,
            cause: .factor(factor, target: addition.target.name)), path: addition.file)
      }
    }
    do { try plan.weights.requireDeltas(of: plan.weights.additions[index] ?? []) } catch { return error }
    let isBase = plan.base.decodedTensor(weight).doubles().contains { !$0.isFinite }
    return BakingError(
      .notFinite(
        weight: weight.entry.name, count: count, dtype: dtype.rawValue,
        cause: isBase ? .base : .sum),
      path: plan.base.path)
  }
}

extension Float {
  /// A number of the format that is at least this positive one.
  fileprivate func roundedUp(to dtype: DType) -> Float {
    func stored(_ value: Double) -> Float { Tensor([value], shape: [], dtype: dtype).floats()[0] }
    let nearest = stored(Double(self))
    return nearest >= self ? nearest : stored(Double(self) * (1 + 2 * (dtype.unitRoundoff ?? 0)))
  }
}
