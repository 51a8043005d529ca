import Checkpoints
import Codecs
import Tensors

extension WeightBaker {
  /// Adds to a weight that is stored in blocks which share a factor: sums are rounded to single precision, and a block
  /// is quantised anew where a sum in it differs from the base.
  func addQuantised(_ index: Int, to format: BlockFormat, in workspace: AdditionWorkspace) throws -> Survival {
    let weight = plan.base.weights[index], tiles = try WeightTiles(plan.weights, stored: index, in: workspace)
    let count = weight.entry.shape.elementCount, rounding = SumRounding(.f32)!
    let sums = workspace.sums.room(for: count)
    var changes = Survival()
    try tiles.forEach { tile in
      let place = sums.baseAddress! + tile.rows.lowerBound * tiles.columns
      rounding.roundNearest(
        base: tile.base, delta: tile.delta, count: tile.rows.count * tiles.columns, into: place, counting: &changes)
    }
    guard changes.notFiniteCount == 0 else { throw notFinite(index, count: changes.notFiniteCount, .f32) }
    let blocks = Bytes(count: count / format.elements * format.bytes) { blocks in
      format.encode(UnsafeBufferPointer(sums), into: blocks)
      if plan.keepsFormat(index) {
        keep(
          plan.base.storedBytes(weight), in: blocks, of: format, where: sums,
          equals: plan.base.decodedTensor(weight).bytes)
      }
      format.decode(UnsafeRawBufferPointer(blocks), into: sums)
    }
    // Factors of blocks are of half precision.
    let lost = sums.count { !$0.isFinite }
    guard lost == 0 else { throw notFinite(index, count: lost, .f16) }
    try write(blocks, of: index)
    return try survival(tiles, stored: sums.baseAddress!)
  }

  /// Puts the base's blocks back where nothing was added to any of their numbers: another program may have chosen
  /// their factors otherwise.
  private func keep(
    _ stored: Bytes, in blocks: UnsafeMutableRawBufferPointer, of format: BlockFormat,
    where sums: UnsafeMutableBufferPointer<Float>, equals base: Bytes
  ) {
    stored.withUnsafeBytes { stored in
      base.withUnsafeBytes { base in
        let base = base.bindMemory(to: Float.self), size = format.bytes
        for block in 0..<blocks.count / size {
          let range = block * format.elements..<(block + 1) * format.elements
          guard range.allSatisfy({ sums[$0] == base[$0] }) else { continue }
          UnsafeMutableRawBufferPointer(rebasing: blocks[block * size..<(block + 1) * size])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: stored[block * size..<(block + 1) * size]))
        }
      }
    }
  }

  /// What became of the delta, as `SumRounding` counts it.
  private func survival(_ tiles: WeightTiles, stored: UnsafePointer<Float>) throws -> Survival {
    var total = Survival()
    try tiles.forEach { tile in
      guard tile.isChanged else { return }
      let values = stored + tile.rows.lowerBound * tiles.columns
      for i in 0..<tile.rows.count * tiles.columns {
        let (base, delta, value) = (Double(tile.base[i]), Double(tile.delta[i]), Double(values[i]))
        total.deltaEnergy += delta * delta
        total.projection += (value - base) * delta
        total.residualEnergy += (value - (base + delta)) * (value - (base + delta))
        total.movedCount += value != base ? 1 : 0
      }
      total.count += tile.rows.count * tiles.columns
    }
    return total
  }
}
