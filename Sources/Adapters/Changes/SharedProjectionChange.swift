import Tensors

/// VeRA: matrices that all targets of an adapter share, cut to the weight's size, with a learned factor for each row of both.
///
/// ΔW = diag(b)·B[:rows] · diag(d)·A[:, :columns].
///
/// Source: PEFT 0.21 (`tuners/vera/layer.py`).
struct SharedProjectionChange: WeightChange {
  /// At least rank × columns, and at least rows × rank.
  let down: Tensor
  let up: Tensor
  /// One for each component, and more that mean nothing here.
  let rankFactors: Tensor
  let rowFactors: Tensor

  var rank: Int { up.shape[1] }

  init(down: Tensor, up: Tensor, rankFactors: Tensor, rowFactors: Tensor) {
    (self.down, self.up, self.rankFactors, self.rowFactors) = (down, up, rankFactors, rowFactors)
  }

  /// - Throws: the problem with the tensors.
  init(_ parts: [String: Tensor], shared: [String: Tensor]) throws(TargetFault) {
    guard let b = parts["vera_lambda_b"] else { throw TargetFault.missing("vera_lambda_b") }
    guard let d = parts["vera_lambda_d"] else { throw TargetFault.missing("vera_lambda_d") }
    guard let up = shared["vera_B"], let down = shared["vera_A"] else {
      throw TargetFault.missing("vera_A and vera_B, which PEFT saves unless save_projection is off")
    }
    guard up.shape.rank == 2, down.shape.rank == 2, up.shape[1] == d.elementCount, down.shape[0] == d.elementCount,
      up.shape[0] >= b.elementCount, up.dtype.isReadable, down.dtype.isReadable
    else { throw TargetFault.shape("projections of rank \(d.elementCount)", "\(up.shape) and \(down.shape)") }
    (self.up, self.down, rankFactors, rowFactors) = (up, down, d, b)
  }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let fits = rows == rowFactors.elementCount && inputs <= down.shape[1] && kernel.allSatisfy { $0 == 1 }
    return fits
      ? nil : misfit("\(rowFactors.elementCount) rows and at most \(down.shape[1]) columns", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, inputs, rank, width) = (weight.rows, weight.inputs, rank, down.shape[1])
    return ComposedFactors(
      up: .init(rows: rows, inputs: rank) {
        let (values, factors) = (up.doubles(), rowFactors.doubles())
        return (0..<rows * rank).map { values[$0] * factors[$0 / rank] }
      },
      down: .init(rows: rank, inputs: inputs) {
        let (values, factors) = (down.doubles(), rankFactors.doubles())
        return (0..<rank * inputs).map { values[$0 / inputs * width + $0 % inputs] * factors[$0 / inputs] }
      })
  }
}
