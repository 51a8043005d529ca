import Platform

/// The singular values of a delta and the measures that follow from them.
public struct Spectrum: Sendable {
  /// Descending; as many as the smaller of rank, rows and columns.
  public let singularValues: [Double]

  /// They must be descending and not negative.
  public init(_ singularValues: [Double]) { self.singularValues = singularValues }

  /// Σσᵢ², the squared Frobenius norm of the delta.
  public var energy: Double { singularValues.reduce(0) { $0 + $1 * $1 } }

  /// The Frobenius norm of the delta.
  public var norm: Double { energy.squareRoot() }

  /// ‖Δ‖_F² ÷ σ₁²: how many directions carry the delta if all were as strong as the strongest. 0 for a zero delta.
  public var stableRank: Double {
    guard let largest = singularValues.first, largest > 0 else { return 0 }
    return singularValues.reduce(0) { $0 + ($1 / largest) * ($1 / largest) }
  }

  /// exp(−Σ p·ln p) with p = σ ÷ Σσ (Roy and Vetterli, "The effective rank", 2007). 0 for a zero delta.
  public var effectiveRank: Double {
    let sum = singularValues.reduce(0, +)
    guard sum > 0 else { return 0 }
    let entropy = singularValues.reduce(0.0) { total, value in
      let p = value / sum
      return p > 0 ? total - p * log(p) : total
    }
    return exp(entropy)
  }

  /// The smallest k with Σ_{i≤k}σᵢ² ≥ `fraction` · Σσᵢ². 0 for a zero delta.
  public func rank(keepingEnergy fraction: Double) -> Int {
    // All of it is all that there is, whatever a running sum says of the smallest.
    guard fraction < 1 else { return singularValues.count { $0 > 0 } }
    let needed = fraction * energy
    var sum = 0.0
    for (index, value) in singularValues.enumerated() {
      guard sum < needed else { return index }
      sum += value * value
    }
    // The running sum can miss the total by rounding alone.
    return energy > 0 ? singularValues.count { $0 > 0 } : 0
  }

  /// What a truncation to `rank` loses: √(Σ_{i>k}σᵢ²).
  public func tailNorm(afterRank rank: Int) -> Double {
    // Small values first: the sum keeps their digits.
    singularValues.dropFirst(rank).reversed().reduce(0) { $0 + $1 * $1 }.squareRoot()
  }
}
