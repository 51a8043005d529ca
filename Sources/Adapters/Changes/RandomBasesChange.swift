import Tensors

/// RandLoRA: ΔW = s·L·S, or Sᵀ·Lᵀ of a weight with fewer rows than inputs, L and S being cut of matrices that all targets share.
///
/// Column c of L is L[:, c ÷ r, c mod r], and row c of S, of b bases, is λ[ρ, β]·γ[β]·S[ρ, β] with ρ = c ÷ b and β = c mod b: the two count
/// differently, and so they were trained.
struct RandomBasesChange: WeightChange {
  /// rank × bases.
  let lambda: Tensor
  /// bases × the shorter side.
  let gamma: Tensor
  /// rank × bases, or 1 for all of them, × at least the shorter side.
  let short: Tensor
  /// At least the longer side × bases × rank.
  let long: Tensor
  let scale: Double

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let fits =
      min(rows, inputs) == gamma.shape[1] && max(rows, inputs) <= long.shape[0] && kernel.allSatisfy { $0 == 1 }
    return fits
      ? nil
      : misfit("a shorter side of \(gamma.shape[1]) and a longer one of at most \(long.shape[0])", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rank, bases, low, high) = (lambda.shape[0], lambda.shape[1], gamma.shape[1], max(weight.rows, weight.inputs))
    let longer = ComposedFactors.Block(rows: high, inputs: rank * bases) { [long, scale] in
      let values = long.doubles(), all = long.shape[1]
      return (0..<high * rank * bases).map { place in
        let (row, c) = (place / (rank * bases), place % (rank * bases))
        return scale * values[(row * all + c / rank) * rank + c % rank]
      }
    }
    let shorter = ComposedFactors.Block(rows: rank * bases, inputs: low) { [lambda, gamma, short] in
      let (first, second, values) = (lambda.doubles(), gamma.doubles(), short.doubles())
      let (all, width) = (short.shape[1], short.shape[2])
      return (0..<rank * bases * low).map { place in
        let (c, column) = (place / low, place % low), (rho, beta) = (c / bases, c % bases)
        return first[c] * second[beta * low + column]
          * values[(rho * all + (all == 1 ? 0 : beta)) * width + column]
      }
    }
    return weight.inputs <= weight.rows
      ? ComposedFactors(product: longer, shorter)
      : ComposedFactors(product: shorter.transposed, longer.transposed)
  }
}
