import Tensors

/// A change of a weight that the adapter brings along, instead of the base's: W ↦ R + Δ, where W was expected to be R.
struct RebasedChange: WeightChange {
  let replacement: Tensor
  let change: Inner
  /// Whether the base stores the weight, and the file the replacement, as (inputs, outputs).
  var isTransposed = false

  enum Inner: Sendable {
    case plain(Target)
    case dependent(any WeightChange)
  }

  /// What a base has in its place has the size of `replacement`, so that only the change can fail to fit.
  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    switch change {
    case .plain(let target):
      target.rows == rows && target.columns == inputs * kernel.reduce(1, *)
        ? nil : misfit("\(target.shape)", rows, inputs, kernel)
    case .dependent(let change): change.fault(rows: rows, inputs: inputs, kernel: kernel)
    }
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, columns) = (weight.rows, weight.columns)
    let own = weight.mapping { [replacement, isTransposed] _ in
      let values = replacement.doubles()
      return isTransposed ? values.transposed(rows: columns, columns: rows) : values
    }
    return ComposedFactors(
      whole: weight.mapping { base in
        let added =
          switch change {
          case .plain(let target): target.product()
          case .dependent(let change): change.delta(of: own, strength: strength, rule: rule).product()
          }
        let divisor = rule == .peft || rule == .comfy ? strength : 1
        return zip(zip(own.values(), base), added).map { ($0.0 - $0.1) / divisor + $1 }
      })
  }
}
