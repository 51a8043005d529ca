import Tensors

/// HRA: the weight's columns reflected at learned directions, one after another: W · Π (I − 2uuᵀ).
///
/// Source: PEFT 0.21 (`tuners/hra/layer.py`).
struct HouseholderChange: WeightChange {
  /// columns × count.
  let directions: Tensor
  /// Whether each direction is first made orthogonal to those before it.
  let isOrthogonalised: Bool

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    let columns = inputs * kernel.reduce(1, *)
    return directions.shape[0] == columns ? nil : misfit("\(directions.shape[0]) columns", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let (rows, columns) = (weight.rows, weight.columns)
    return ComposedFactors(
      whole: weight.mapping { base in
        var turned = base
        for direction in units() {
          for row in 0..<rows {
            var length = 0.0
            for j in 0..<columns { length += turned[row * columns + j] * direction[j] }
            for j in 0..<columns { turned[row * columns + j] -= 2 * length * direction[j] }
          }
        }
        for i in turned.indices { turned[i] -= base[i] }
        return turned
      })
  }

  /// The directions, each of length 1.
  private func units() -> [[Double]] {
    let count = directions.shape[1], length = directions.shape[0], values = directions.doubles()
    var units: [[Double]] = []
    for place in 0..<count {
      var direction = (0..<length).map { values[$0 * count + place] }
      if isOrthogonalised {
        for other in units {
          let share = zip(direction, other).reduce(0) { $0 + $1.0 * $1.1 }
          for i in direction.indices { direction[i] -= share * other[i] }
        }
      }
      let norm = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      units.append(direction.map { $0 / norm })
    }
    return units
  }
}
