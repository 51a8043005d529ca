/// Which of several values counts that occur equally often.
package enum CommonestChoice { case first, larger }

extension [Double] {
  /// The value that occurs most often, zeros aside; `nil` where there is no other.
  package func commonest(_ choice: CommonestChoice) -> Double? {
    var counts: [Double: Int] = [:]
    for value in self where value != 0 { counts[value, default: 0] += 1 }
    let most = counts.values.max() ?? 0
    switch choice {
    case .first: return first { counts[$0] == most }
    case .larger: return counts.filter { $0.value == most }.keys.max()
    }
  }
}
