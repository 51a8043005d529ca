import Models
import Tensors

/// A LoRA whose rows have, in each head, the two halves interleaved: row 2j + s there is row s·d ∕ 2 + j of the head.
struct RotaryOrderChange: WeightChange {
  let up: Tensor
  let down: Tensor
  let scale: Double
  /// The module's name, which tells queries from keys.
  let path: String
  /// How many heads the rows are of, where the model tells.
  var heads: Int?

  var isOfQueries: Bool { LlamaCppNames.isOfQueries(path) }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    guard let heads, heads > 0, rows % (2 * heads) == 0 else {
      return misfit("a model whose config.json tells how many heads the rows are of", rows, inputs, kernel)
    }
    let fits = rows == up.shape[0] && inputs == down.shape[1] && kernel.isEmpty
    return fits ? nil : misfit("[\(up.shape[0]), \(down.shape[1])]", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, rank, up, down, scale) = (up.shape[0], up.shape[1], up, down, scale), size = rows / (heads ?? 1)
    return ComposedFactors(
      up: .init(rows: rows, inputs: rank) {
        let values = up.doubles()
        return (0..<rows * rank).map { place in
          let (row, column) = (place / rank, place % rank), (head, own) = (row / size, row % size)
          return scale * values[(head * size + own % (size / 2) * 2 + own / (size / 2)) * rank + column]
        }
      }, down: .init(down))
  }
}
