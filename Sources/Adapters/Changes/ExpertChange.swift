import Tensors

/// A LoRA for each expert of a stacked weight (PEFT's `target_parameters`): experts × outputs × inputs, or × inputs × outputs;
/// of a base that stores experts one by one their rows below each other; or a LoRA of one matrix.
///
/// The down factors stand one below the other, expert by expert; of the up factors the columns of one component stand
/// together, one for each expert.
///
/// Source: PEFT 0.21 (`tuners/lora/layer.py`, `ParamWrapper`).
struct ExpertChange: WeightChange {
  let up: Tensor
  let down: Tensor
  let alpha: Double?
  /// Whether alpha is divided by the root of the rank.
  let isRankStabilised: Bool
  /// Whether the base stores experts × inputs × outputs, where the model tells.
  var hasInputsFirst: Bool?

  private var outputs: Int { up.shape[0] }
  private var inputs: Int { down.shape[1] }

  func fault(rows: Int, inputs first: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let sides = [[outputs, inputs], [inputs, outputs]]
    if outputs == inputs, hasInputsFirst == nil, !kernel.isEmpty {
      return misfit("a model whose config.json says how square experts are stored", rows, first, kernel)
    }
    if kernel.isEmpty {
      let experts = rows / outputs
      let fits = first == inputs && experts > 0 && rows == experts * outputs && down.shape[0] % experts == 0
      return fits ? nil : misfit("[experts × \(outputs), \(inputs)]", rows, first, kernel)
    }
    let fits = kernel.count == 1 && rows > 0 && down.shape[0] % rows == 0 && sides.contains([first, kernel[0]])
    return fits ? nil : misfit("[experts, \(outputs), \(inputs)]", rows, first, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let isFlat = weight.kernel.isEmpty
    let (experts, outputs, inputs) = (isFlat ? weight.rows / outputs : weight.rows, outputs, inputs)
    let rank = down.shape[0] / experts
    let scale = alpha.map { $0 / (isRankStabilised ? Double(rank).squareRoot() : Double(rank)) } ?? 1
    let hasOutputsFirst = isFlat || (outputs == inputs ? hasInputsFirst == false : weight.inputs == outputs)
    return ComposedFactors(
      whole: .init(rows: weight.rows, inputs: weight.inputs, kernel: weight.kernel) {
        let (a, b) = (down.doubles(), up.doubles())
        var values = [Double](repeating: 0, count: experts * outputs * inputs)
        for expert in 0..<experts {
          for output in 0..<outputs {
            for component in 0..<rank {
              let factor = scale * b[(output * rank + component) * experts + expert]
              for input in 0..<inputs {
                let place = hasOutputsFirst ? output * inputs + input : input * outputs + output
                values[expert * outputs * inputs + place] += factor * a[(expert * rank + component) * inputs + input]
              }
            }
          }
        }
        return values
      })
  }
}
