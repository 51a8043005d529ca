import Spectra

/// What becomes of singular values that stand out.
public enum SpikeClipping: Sendable, Equatable {
  /// They stay.
  case none
  /// In targets with a spike σ is written as min(σ, x · median), the median being that of all targets' largest singular values.
  case spikes(medians: Double)
  /// In all targets σ is written as min(σ, c).
  case above(Double)

  /// The largest singular value that is to be written, by the places of targets that may have a larger one.
  ///
  /// - Parameter weights: as for `Spikes`.
  func ceilings(of spectra: [Spectrum], weights: [Double?]?) -> [Int: Double] {
    switch self {
    case .none: return [:]
    case .spikes(let medians):
      let spikes = Spikes(in: spectra, weights: weights)
      return Dictionary(uniqueKeysWithValues: spikes.places.map { ($0, medians * spikes.median) })
    case .above(let sigma): return Dictionary(uniqueKeysWithValues: spectra.indices.map { ($0, sigma) })
    }
  }
}
