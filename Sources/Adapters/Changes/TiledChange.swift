import Tensors

/// MiSS: ΔW[o, i] = M[i mod r, o], and with fewer columns than rows M[i mod r, o mod columns].
///
/// That is a LoRA: up is Mᵀ, and down is the identity, repeated over the inputs.
struct TiledChange: WeightChange {
  /// rank × rows, or rank × a part of the rows.
  let block: Tensor
  /// Whether the rows are repeated too ("mini").
  let repeatsRows: Bool

  private var rank: Int { block.shape[0] }
  private var width: Int { block.shape[1] }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let fits = repeatsRows ? rows % width == 0 : rows == width
    guard fits, inputs >= rank, kernel.allSatisfy({ $0 == 1 }) else {
      let expected = "\(repeatsRows ? "a multiple of \(width)" : "\(width)") rows and at least \(rank) inputs"
      return misfit(expected, rows, inputs, kernel)
    }
    return nil
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rank, width, rows, inputs, block) = (rank, width, weight.rows, weight.inputs, block)
    return ComposedFactors(
      product: .init(rows: rows, inputs: rank) {
        let values = block.doubles()
        return (0..<rows * rank).map { values[$0 % rank * width + $0 / rank % width] }
      },
      .init(rows: rank, inputs: inputs, kernel: weight.kernel) {
        (0..<rank * inputs).map { $0 % inputs % rank == $0 / inputs ? 1 : 0 }
      })
  }
}
