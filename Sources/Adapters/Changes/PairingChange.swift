import Platform
import Tensors

/// RoAd: rows in groups, of which row p of the first half and row p of the second become
/// α·cos θ·x − α·sin θ·y and α·sin θ·x + α·cos θ·y.
struct PairingChange: WeightChange {
  /// How many numbers there are: for each pair, for each row, or for each use of a row.
  enum Variant: String, Sendable {
    case perPair = "road_1"
    case perRow = "road_2"
    case perUse = "road_4"

    func rows(of count: Int) -> Int {
      switch self {
      case .perPair: 2 * count
      case .perRow: count
      case .perUse: count / 2
      }
    }

    func count(ofRows rows: Int) -> Int {
      switch self {
      case .perPair: rows / 2
      case .perRow: rows
      case .perUse: 2 * rows
      }
    }
  }

  let theta: Tensor
  let alpha: Tensor
  let variant: Variant
  /// Rows of a group.
  let size: Int

  private var extent: Int { variant.rows(of: theta.elementCount) }

  func fault(rows: Int, inputs: Int, kernel: [Int]) -> AdapterProblem.Kind? {
    rows == extent ? nil : misfit("\(extent) rows", rows, inputs, kernel)
  }

  func delta(of weight: ComposedFactors.Block, strength: Double, rule: StrengthRule) -> ComposedFactors {
    let columns = weight.columns
    return ComposedFactors(
      whole: weight.mapping { base in
        let (own, other) = coefficients()
        var result = [Double](repeating: 0, count: base.count)
        for row in own.indices {
          let isFirst = row % size < size / 2, partner = isFirst ? row + size / 2 : row - size / 2
          let share = isFirst ? -other[row] : other[row]
          for j in 0..<columns {
            result[row * columns + j] =
              (own[row] - 1) * base[row * columns + j] + share * base[partner * columns + j]
          }
        }
        return result
      })
  }

  /// What each row is multiplied by, and its partner for it.
  private func coefficients() -> (own: [Double], other: [Double]) {
    let angles = theta.doubles(), lengths = alpha.doubles(), half = size / 2
    var own: [Double] = [], other: [Double] = []
    for row in 0..<extent {
      let group = row / size, place = row % size
      let (first, second): (Int, Int) =
        switch variant {
        case .perPair: (group * half + place % half, group * half + place % half)
        case .perRow: (row, row)
        case .perUse: (2 * group * size + place, (2 * group + 1) * size + place)
        }
      own.append(lengths[first] * cos(angles[first]))
      other.append(lengths[second] * sin(angles[second]))
    }
    return (own, other)
  }
}
