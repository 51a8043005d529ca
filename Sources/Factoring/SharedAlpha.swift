package import Spectra
import Tensors

/// The one alpha that all targets of an output carry.
///
/// Alphas may differ from target to target, and most loaders cope. Diffusers does not: for kohya's names it gives every
/// attention target the commonest alpha of the file (seen in 0.35 and 0.42), without a word. So a file gets one alpha,
/// and what a target's own would have been goes into its factors.
package enum SharedAlpha {
  /// What it is, but for powers of two.
  package enum Choice {
    /// That of most targets, whose scales then stay what they were.
    case likeBefore
    /// The rank, so that scales are about 1.
    case rank
  }

  /// - Parameter commonRank: the rank of all targets, where the rule gives them one: then alpha ÷ rank stays what it was.
  package static func value(for plan: RefactorPlan, spectra: [Spectrum], commonRank: Int?) -> Double {
    let scaled = zip(plan.targets, spectra).filter(\.0.usesAlpha)
    let sources = scaled.flatMap { $0.0.delta.terms.map(\.target) }
    let base: Double
    switch plan.alphas {
    case .likeBefore:
      let scale = sources.map(\.scale).commonest(.larger), alpha = sources.map { $0.alpha ?? 0 }.commonest(.larger)
      let wanted = commonRank.map { Double($0) * (scale ?? 1) }
      // What has the rank already keeps its digits if the alpha is its own, but for a power of two.
      let kept = sources.filter { $0.rank == commonRank }.map { $0.alpha ?? 0 }.commonest(.larger)
      let isEasy = wanted.map { wanted in kept.map { (wanted / $0).significand == 1 } ?? true } ?? true
      base = (isEasy ? wanted : kept) ?? alpha ?? Double(sources.map(\.rank).max() ?? 1)
    case .rank:
      base = Double(commonRank ?? scaled.map(\.0.delta.componentCount).max() ?? 1)
    }
    let halves = scaled.filter { $0.0.dtype == .f16 }.map { target, spectrum in
      Strength(
        values: spectrum.singularValues, scale: base.magnitude / Double(target.rankBefore),
        length: max(target.delta.rows, target.delta.columns))
    }
    return lifted(base.magnitude, by: EntryRange(halves)?.lift ?? 0)
  }

  /// The alpha that goes with factors enlarged by 2^lift.
  package static func lifted(_ alpha: Double, by lift: Int) -> Double {
    storable(alpha * .power2(-2 * lift))
  }

  /// What a stored alpha will be read as: alphas are stored in single precision. Where that has no such number, its
  /// nearest that is not zero; what is missing then goes into the factors.
  package static func storable(_ alpha: Double) -> Double {
    guard alpha != 0 else { return 0 }
    let limits = Double(Float.leastNormalMagnitude)...Double(Float.greatestFiniteMagnitude)
    let size = Double(Float(min(max(alpha.magnitude, limits.lowerBound), limits.upperBound)))
    return alpha < 0 ? -size : size
  }

  /// How strong the components of a target are.
  package struct Strength {
    /// Singular values, descending.
    package var values: [Double]
    /// What the product of its factors is multiplied by.
    package var scale: Double
    /// Of the longer factor's vectors.
    package var length: Int

    package init(values: [Double], scale: Double, length: Int) {
      (self.values, self.scale, self.length) = (values, scale, length)
    }
  }

  /// How large and how small the entries of balanced factors are.
  ///
  /// Entries of a component have a root mean square of √(σ ÷ scale ÷ length).
  package struct EntryRange {
    /// The smallest root mean square among the components that matter: one millionth of the file's energy counts.
    package let smallest: Double
    /// What no entry exceeds.
    package let largest: Double

    /// `nil` where no target has a delta.
    package init?(_ targets: [Strength]) {
      let level = (targets.reduce(0) { $0 + $1.values.reduce(0) { $0 + $1 * $1 } } * 1e-6).squareRoot()
      var smallest = Double.infinity, largest = 0.0
      for target in targets {
        guard let strongest = target.values.first, strongest > 0 else { continue }
        let weakest = target.values.last { $0 >= level } ?? strongest
        smallest = min(smallest, (weakest / target.scale / Double(target.length)).squareRoot())
        largest = max(largest, (strongest / target.scale).squareRoot())
      }
      guard largest > 0 else { return nil }
      (self.smallest, self.largest) = (smallest, largest)
    }

    /// The powers of two by which both factors are enlarged for half precision, which loses digits below 2⁻¹⁴.
    ///
    /// Where a component that matters would come below 2⁻¹², all are lifted until it is at 2⁻¹⁰, as long as the
    /// largest stays far below 2¹⁶.
    package var lift: Int {
      guard smallest < 0x1p-12 else { return 0 }
      return max(0, min((0x1p-10 / smallest).boundedExponent + 1, (0x1p12 / largest).boundedExponent))
    }

    /// Whether half precision holds the factors without losing digits, when lifted by 2^lift.
    package func fitsHalf(lift: Int) -> Bool {
      let factor = Double.power2(lift)
      return smallest * factor >= 0x1p-12 && largest * factor <= 0x1p15
    }
  }
}
