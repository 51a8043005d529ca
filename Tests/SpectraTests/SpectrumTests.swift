import Spectra
import Testing

/// Proves the measures of a spectrum against values worked out by hand, and that empty and zero spectra are no trap.
@Suite struct SpectrumTests {
  @Test("Energy and norm are sums of squares")
  func energy() {
    let spectrum = Spectrum([4, 2, 2, 1])
    #expect(spectrum.energy == 25)
    #expect(spectrum.norm == 5)
  }

  @Test("Stable rank is the energy in units of the largest square")
  func stableRank() {
    #expect(Spectrum([4, 2, 2, 1]).stableRank == 25.0 / 16)
    #expect(Spectrum([3, 3, 3]).stableRank == 3)
    #expect(Spectrum([7]).stableRank == 1)
    // Squares of these would overflow or vanish.
    #expect(Spectrum([1e200, 1e200]).stableRank == 2)
    #expect(Spectrum([1e-200, 1e-200]).stableRank == 2)
  }

  @Test(
    "Effective rank is the exponential of the entropy",
    arguments: [
      ([5.0], 1.0), ([2, 2, 2, 2], 4), ([3, 0, 0], 1), ([1, 1, 0], 2),
      // p = 1/2, 1/4, 1/4: entropy 1.5 ln 2.
      ([2, 1, 1], 2.8284271247461903),
      // p = 3/4, 1/4: entropy ln 4 − (3/4) ln 3.
      ([3, 1], 1.7547653506033232),
    ] as [([Double], Double)])
  func effectiveRank(values: [Double], expected: Double) {
    #expect(abs(Spectrum(values).effectiveRank - expected) <= 1e-14 * expected)
  }

  @Test(
    "The rank for an energy is the smallest that reaches it",
    arguments: [
      // Energies of [4, 2, 2, 1]: 16, 20, 24 and 25 of 25.
      (0.0, 0), (0.5, 1), (0.64, 1), (0.6400001, 2), (0.8, 2), (0.95, 3), (0.96, 3), (0.97, 4), (1, 4),
    ] as [(Double, Int)])
  func rankForEnergy(share: Double, expected: Int) {
    #expect(Spectrum([4, 2, 2, 1]).rank(keepingEnergy: share) == expected)
  }

  @Test("All of the energy never counts zeros")
  func allEnergy() {
    #expect(Spectrum([3, 1, 0, 0]).rank(keepingEnergy: 1) == 2)
    // The sum of these squares depends on the order; the rank must not run past the end.
    let uneven = [0.7, 0.6, 0.5, 0.3, 0.1, 1e-9, 1e-12]
    #expect(Spectrum(uneven).rank(keepingEnergy: 1) <= uneven.count)
    #expect(Spectrum(uneven).rank(keepingEnergy: 1.0000001) == uneven.count)
  }

  @Test(
    "The tail is what a truncation loses",
    arguments: [(0, 5), (1, 3), (2, 5.0.squareRoot()), (3, 1), (4, 0), (9, 0)] as [(Int, Double)])
  func tail(rank: Int, expected: Double) {
    #expect(abs(Spectrum([4, 2, 2, 1]).tailNorm(afterRank: rank) - expected) <= 1e-15 * 5)
  }

  @Test("Head and tail together are the whole", arguments: 0...4)
  func headAndTail(rank: Int) {
    let spectrum = Spectrum([4, 2, 2, 1]), tail = spectrum.tailNorm(afterRank: rank)
    let head = spectrum.singularValues.prefix(rank).reduce(0) { $0 + $1 * $1 }
    #expect(abs(head + tail * tail - 25) <= 1e-13)
  }

  @Test("Spectra without energy have rank 0 in every sense", arguments: [[], [0], [0, 0, 0]] as [[Double]])
  func nothing(values: [Double]) {
    let spectrum = Spectrum(values)
    #expect(spectrum.energy == 0)
    #expect(spectrum.norm == 0)
    #expect(spectrum.stableRank == 0)
    #expect(spectrum.effectiveRank == 0)
    #expect(spectrum.rank(keepingEnergy: 0.99) == 0)
    #expect(spectrum.rank(keepingEnergy: 1) == 0)
    #expect(spectrum.tailNorm(afterRank: 0) == 0)
    #expect(spectrum.tailNorm(afterRank: 5) == 0)
  }

  @Test("One value has rank 1 in every sense")
  func oneValue() {
    let spectrum = Spectrum([0.25])
    #expect(spectrum.norm == 0.25)
    #expect(spectrum.stableRank == 1)
    #expect(spectrum.effectiveRank == 1)
    #expect(spectrum.rank(keepingEnergy: 0.01) == 1)
    #expect(spectrum.rank(keepingEnergy: 1) == 1)
    #expect(spectrum.tailNorm(afterRank: 0) == 0.25)
  }
}
