import Platform

/// A small generator of random numbers with a fixed seed, the same on every machine.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Uniform in (0, 1].
  public mutating func uniform() -> Double { Double((next() >> 11) + 1) * 0x1p-53 }

  /// Uniform in 0 ..< `bound`.
  public mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  /// Normal with mean 0 and variance 1 (Box and Muller 1958).
  public mutating func gaussian() -> Double {
    (-2 * log(uniform())).squareRoot() * cos(2 * Double.pi * uniform())
  }

  /// rank × columns, row-major: orthonormal rows (Gram and Schmidt).
  public mutating func orthonormal(_ rank: Int, _ columns: Int) -> [Double] {
    var rows: [[Double]] = []
    for _ in 0..<rank {
      var row = gaussians(columns)
      for other in rows {
        let overlap = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
        for j in 0..<columns { row[j] -= overlap * other[j] }
      }
      let norm = Dense.norm(row)
      rows.append(row.map { $0 / norm })
    }
    return rows.flatMap { $0 }
  }

  public mutating func gaussians(_ count: Int) -> [Double] {
    var values: [Double] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(gaussian()) }
    return values
  }
}
