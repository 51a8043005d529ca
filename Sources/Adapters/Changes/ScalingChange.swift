import Tensors

/// (IA)³: rows or input channels multiplied by learned numbers.
///
/// Source: LyCORIS 4.1.3 (`modules/ia3.py`): 1 + w; PEFT 0.21 (`tuners/ia3/layer.py`): the factors themselves.
struct ScalingChange: WeightChange {
  let numbers: Tensor
  /// Whether input channels are multiplied rather than rows.
  let isOnInputs: Bool
  /// What is added to the numbers to make them factors less 1.
  let offset: Double

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let expected = numbers.elementCount, found = isOnInputs ? inputs : rows
    return expected == found ? nil : misfit("\(expected) \(isOnInputs ? "inputs" : "rows")", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let points = weight.kernel.reduce(1, *), inputs = weight.inputs
    return ComposedFactors(
      whole: weight.mapping { base in
        let factors = numbers.doubles().map { $0 + offset }
        return base.indices.map { base[$0] * factors[isOnInputs ? $0 / points % inputs : $0 / (points * inputs)] }
      })
  }
}
