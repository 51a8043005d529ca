import Tensors

/// A weight put in the place of the base's: whole modules and biases that PEFT saved, ComfyUI's `set_weight`.
///
/// It is W₁ whole. PEFT and ComfyUI put it in at any strength but 0, and so do their rules.
struct Replacement: WeightChange {
  let value: Tensor

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let (ownRows, columns) = value.shape.flattened
    let fits = ownRows == rows && columns == inputs * kernel.reduce(1, *)
    return fits ? nil : misfit("\(value.shape)", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let divisor = rule == .peft || rule == .comfy ? strength : 1
    return ComposedFactors(
      whole: weight.mapping { base in zip(value.doubles(), base).map { ($0 - $1) / divisor } })
  }
}
