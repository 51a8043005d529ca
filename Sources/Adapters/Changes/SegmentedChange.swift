import Tensors

/// Changes of consecutive rows of a weight, each by itself: kohya's rotations of fused projections.
struct SegmentedChange: WeightChange {
  let parts: [(rows: Int, change: any WeightChange)]

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let expected = parts.reduce(0) { $0 + $1.rows }
    guard expected == rows else { return misfit("\(expected) rows", rows, inputs, kernel) }
    return parts.lazy.compactMap { $0.change.fault(rows: $0.rows, inputs: inputs, kernel: kernel) }.first
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (inputs, columns) = (weight.inputs, weight.columns)
    return ComposedFactors(
      whole: weight.mapping { base in
        var first = 0
        return parts.flatMap { part -> [Double] in
          let own = Array(base[first * columns..<(first + part.rows) * columns])
          first += part.rows
          let block = ComposedFactors.Block(rows: part.rows, inputs: inputs, kernel: weight.kernel) { own }
          return part.change.delta(of: block, strength: strength, rule: rule).product()
        }
      })
  }
}
