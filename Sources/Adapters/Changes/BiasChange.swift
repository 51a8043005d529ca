import LinearAlgebra
import Tensors

/// A bias multiplied and added to, with a share of its layer's weight: Δb = b ⊙ d + e + W·c.
struct BiasChange: WeightChange {
  let factor: AffineChange.Part
  let added: AffineChange.Part
  /// inputs × 1.
  let mixing: AffineChange.Part
  /// Of the layer, once it is known.
  var weight: ComposedFactors.Block?

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    for part in [factor, added] where !part.fits(rows: rows, columns: 1) {
      return misfit(part.expected, rows, inputs, kernel)
    }
    return nil
  }

  func given(_ weight: ComposedFactors.Block) -> any WeightChange {
    var change = self
    change.weight = weight
    return change
  }

  func fault(given rows: Int, inputs: Int) -> AdapterProblem.Kind? {
    mixing.fits(rows: inputs, columns: 1)
      ? nil : misfit("a weight of \(mixing.expected) in its columns", rows, inputs, [])
  }

  func delta(of bias: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    ComposedFactors(
      whole: bias.mapping { base in
        let d = factor.values(rows: base.count, columns: 1), e = added.values(rows: base.count, columns: 1)
        var result = base.indices.map { base[$0] * d($0) + e($0) }
        guard let weight, !mixing.isNothing else { return result }
        let c = mixing.values(rows: weight.columns, columns: 1)
        let product = reproducibleProduct(
          weight.values(), (0..<weight.columns).map(c), rows: base.count, rank: weight.columns, columns: 1)
        for i in result.indices { result[i] += product[i] }
        return result
      })
  }
}
