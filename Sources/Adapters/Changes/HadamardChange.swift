import LinearAlgebra
import Tensors

/// HiRA: the weight's numbers multiplied by those of a matrix of low rank: ΔW = W ⊙ (B·A).
struct HadamardChange: WeightChange {
  /// rows × rank.
  let up: Tensor
  /// rank × inputs × kernel.
  let down: Tensor
  /// Of a table of words: it is stored one way round whatever the model does with its matrices.
  var isOfTable = false

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let own = Array(down.shape.extents.dropFirst(2))
    let fits =
      rows == up.shape[0] && inputs == down.shape[1]
      && (own == kernel || own.filter { $0 > 1 } == kernel.filter { $0 > 1 })
    return fits
      ? nil : misfit("\(Shape([up.shape[0]] + down.shape.extents.dropFirst(1)))", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, columns, up, down) = (weight.rows, weight.columns, up, down)
    return ComposedFactors(
      whole: weight.mapping { base in
        let product = reproducibleProduct(
          up.doubles(), down.doubles(), rows: rows, rank: up.shape[1], columns: columns)
        return zip(base, product).map { $0 * $1 }
      })
  }
}
