import Checkpoints
import LinearAlgebra
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
    let negative = workspace.negative.room(for: count)
    for i in 0..<count { negative[i] = -delta[i] }
    let codes = UnsafeMutableRawBufferPointer(workspace.predicted.room(for: count * width))
    var unused = Survival()
    if scales.count == 1 {
      rounding.roundNearest(
        base: baked, delta: negative.baseAddress!, scale: scales[0], count: count, into: codes.baseAddress!,
        counting: &unused)
    } else {
      for row in rows {
        let offset = (row - rows.lowerBound) * columns
        rounding.roundNearest(
          base: baked + offset, delta: negative.baseAddress! + offset, scale: scales[row], count: columns,
          into: codes.baseAddress! + offset * width, counting: &unused)
      }
    }
    return codes
  }
}
