import LinearAlgebra
import Tensors

/// T-LoRA: factors that began as the weight's own leading singular triples, less those.
///
/// ΔW = α∕r · (P·diag(λ)·Q − U·diag(σ)·Vᵀ), the second product being W cut to rank r. The file does not say whether training
/// began with the leading triples, which is the default.
///
/// Source: LyCORIS 4.1.3 (`modules/tlora.py`).
struct PrincipalChange: WeightChange {
  typealias Block = ComposedFactors.Block

  let up: Block
  let down: Block
  let scale: Double

  var rank: Int { up.inputs }

  /// - Throws: the problem with the tensors: one is missing, or shapes disagree.
  init(_ parts: [String: Tensor], alpha: Double?) throws(TargetFault) {
    let p = try TargetFault.matrix("p_layer.weight", parts), q = try TargetFault.matrix("q_layer.weight", parts)
    guard let lambda = parts["lambda_layer"] else { throw TargetFault.missing("lambda_layer") }
    guard p.shape[1] == q.shape[0], lambda.elementCount == q.shape[0] else {
      throw TargetFault.shape("equal ranks of all factors", "\(p.shape), \(lambda.shape) and \(q.shape)")
    }
    let rank = p.shape[1]
    up = Block(rows: p.shape[0], inputs: rank) { p.doubles() }.mapping { values in
      let weights = lambda.doubles()
      return values.indices.map { values[$0] * weights[$0 % rank] }
    }
    down = Block(rows: rank, inputs: q.shape[1]) { q.doubles() }
    scale = alpha.map { $0 / Double(rank) } ?? 1
  }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let fits = rows == up.rows && inputs == down.inputs && kernel.allSatisfy { $0 == 1 } && rank <= min(rows, inputs)
    return fits ? nil : misfit("[\(up.rows), \(down.inputs)]", rows, inputs, kernel)
  }

  func delta(of weight: Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rank, scale, rows, columns) = (rank, scale, weight.rows, weight.inputs)
    let own = up.times(down)
    return ComposedFactors(
      whole: weight.mapping { base in
        let matrix = Matrix(rows: rows, columns: columns, elements: base)
        // What has no triples makes no delta; whoever reads the result finds it not finite and says why (`missingDelta`).
        guard let triples = try? SingularValues(of: matrix) else { return base.map { _ in .nan } }
        let left = triples.u.selecting(columns: 0..<rank).scalingColumns(by: Array(triples.values.prefix(rank)))
        // Uᵀ·W has the right vectors, times their values.
        let leading = left.scalingColumns(by: triples.values.prefix(rank).map { $0 > 0 ? 1 / $0 : 0 })
        let right = leading.transposedTimes(matrix)
        let principal = reproducibleProduct(
          leading.elements, right.elements, rows: rows, rank: rank, columns: columns)
        return zip(own.values(), principal).map { scale * ($0 - $1) }
      })
  }
}
