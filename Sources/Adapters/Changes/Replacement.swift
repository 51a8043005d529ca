import Tensors

/// A weight put in the place of the base's: whole modules that PEFT saved, ComfyUI's `set_weight`. It has no strength but
/// all or nothing.
struct Replacement: WeightChange {
  let value: Tensor

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let (ownRows, columns) = value.shape.flattened
    let fits = ownRows == rows && columns == inputs * kernel.reduce(1, *)
    return fits ? nil : misfit("\(value.shape)", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    ComposedFactors(whole: weight.mapping { base in zip(value.doubles(), base).map { ($0 - $1) / strength } })
  }
}
