import Codecs
import Tensors

/// What the base's weights must have been, judged from baked ones: stored − delta, rounded to the base's format.
///
/// Deltas have the same bits everywhere, so a prediction made while baking is made again, bit for bit, while undoing it.
struct WeightPrediction {
  /// The base's format.
  let rounding: SumRounding
  /// The base's scales, for an 8-bit weight that has them.
  let scales: [Float]

  /// - Parameters:
  ///   - baked: the stored numbers after the bake, scales included.
  ///   - delta: what was added.
  ///   - rows: the tile's rows in the weight.
  /// - Returns: the predicted codes, good until the next call with this workspace.
  func predict(
    baked: UnsafePointer<Float>, delta: UnsafePointer<Float>, rows: Range<Int>, columns: Int,
    in workspace: AdditionWorkspace
  ) -> UnsafeMutableRawBufferPointer {
    let count = rows.count * columns, width = rounding.dtype.bits / 8
    let negative = workspace.negative(of: delta, count: count)
    let codes = UnsafeMutableRawBufferPointer(workspace.predicted.room(for: count * width))
    var unused = Survival()
    if scales.count == 1 {
      rounding.roundNearest(
        base: baked, delta: negative, scale: scales[0], count: count, into: codes.baseAddress!,
        counting: &unused)
    } else {
      for row in rows {
        let offset = (row - rows.lowerBound) * columns
        rounding.roundNearest(
          base: baked + offset, delta: negative + offset, scale: scales[row], count: columns,
          into: codes.baseAddress! + offset * width, counting: &unused)
      }
    }
    return codes
  }
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
    let negative = workspace.negative(of: delta, count: count)
    let predicted = workspace.predicted.room(for: count).baseAddress!
    predicted.update(from: places, count: count)
    var unused = Survival()
    grid.roundNearest(
      predicted, steps: steps, base: base, delta: negative, count: count, counting: &unused)
    return predicted
  }
}
