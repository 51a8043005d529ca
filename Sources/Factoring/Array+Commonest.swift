extension [Double] {
  /// The value that occurs most often, zeros aside; the first of equals, and 0 where there is no other.
  package var commonest: Double {
    var counts: [Double: Int] = [:]
    for value in self where value != 0 { counts[value, default: 0] += 1 }
    let most = counts.values.max() ?? 0
    return first { counts[$0] == most } ?? 0
  }
}
