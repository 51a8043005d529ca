package import Adapters

/// Targets whose delta is far stronger in one direction than is usual.
///
/// Such a direction hardly shows in pictures of the adapter alone and destroys those of several adapters. Whether it carries effect
/// cannot be seen from weights. The limits flagged none of 2,604 targets of trained adapters.
public struct Spikes: Sendable {
  /// The share of a target's energy in its first direction that is above what is usual.
  static let share = 0.9
  /// How many times the median of all targets' largest singular values is.
  static let medians = 8.0
  /// How many times the largest singular value of the weight that is changed is: the surer sign.
  static let weights = 2.0

  /// The targets with a spike, by their places among the spectra.
  public let places: [Int]
  /// Of the largest singular values of all targets with a delta; 0 where there is none.
  public let median: Double

  /// - Parameters:
  ///   - spectra: of all targets of an adapter, or of a sum of adapters.
  ///   - weights: the largest singular value of the weight that each changes; `nil` where it is not known.
  public init(in spectra: [Spectrum], weights: [Double?]? = nil) {
    precondition(weights.map { $0.count == spectra.count } ?? true, "a weight for each spectrum")
    let largest = spectra.compactMap(\.singularValues.first).filter { $0 > 0 }.sorted()
    let median = largest.isEmpty ? 0 : (largest[largest.count / 2] + largest[(largest.count - 1) / 2]) / 2
    self.median = median
    places = spectra.indices.filter { index in
      guard let value = spectra[index].singularValues.first, value > 0 else { return false }
      if let weight = weights?[index] { return value > Self.weights * weight }
      return value > Self.medians * median && value * value > Self.share * spectra[index].energy
    }
  }

  /// What a user should know of the targets with a spike.
  ///
  /// - Parameters:
  ///   - names: of all targets.
  ///   - weights: as they were given.
  package func problems(of names: [String], weights: [Double?]? = nil) -> [AdapterProblem] {
    places.map { AdapterProblem(weights?[$0] == nil ? .spike : .overpowersBase, target: names[$0]) }
  }
}
