import Spectra
import Testing

@testable import Factoring

/// Proves the ranks that each rule gives against counts made by hand, for convolutions and zero spectra too.
@Suite struct RankRuleTests {
  private let spectrum = Spectrum([8, 4, 2, 1, 0.5])
  private func rank(
    _ rule: RankRule, of spectrum: Spectrum? = nil, isConvolution: Bool = false, likeKohya: Bool = false
  ) -> Int? {
    rule.rank(for: spectrum ?? self.spectrum, isConvolution: isConvolution, countsLikeKohya: likeKohya)
  }

  @Test(
    "A ratio keeps what is above the largest divided by it",
    arguments: [
      // Of 8, 4, 2, 1, 0.5: above 8/t.
      (1.0, 1), (1.5, 1), (2, 1), (2.01, 2), (4, 2), (5, 3), (16, 4), (17, 5), (1e9, 5),
    ] as [(Double, Int)])
  func ratio(value: Double, expected: Int) {
    #expect(rank(.svRatio(value)) == expected)
  }

  @Test(
    "A Frobenius share is reached by norms, which are roots of energies",
    arguments: [
      // Energies: 64, 80, 84, 85, 85.25; norms as shares: 0.8664, 0.9687, 0.99263, 0.99853, 1.
      (0.5, 1), (0.866, 1), (0.867, 2), (0.9687, 2), (0.969, 3), (0.9926, 3), (0.993, 4), (0.9986, 5), (1, 5),
    ] as [(Double, Int)])
  func frobenius(value: Double, expected: Int) {
    #expect(rank(.svFrobenius(value)) == expected)
  }

  @Test(
    "A cumulative share is reached by plain sums",
    arguments: [
      // Sums: 8, 12, 14, 15, 15.5; shares: 0.516, 0.774, 0.903, 0.968, 1.
      (0.1, 1), (0.516, 1), (0.517, 2), (0.77, 2), (0.78, 3), (0.9, 3), (0.91, 4), (0.97, 5), (1, 5),
    ] as [(Double, Int)])
  func cumulative(value: Double, expected: Int) {
    #expect(rank(.svCumulative(value)) == expected)
  }

  @Test(
    "An energy share is reached by squares",
    arguments: [
      // 64/85.25 = 0.7507, 80/85.25 = 0.9384, 84/85.25 = 0.98534, 85/85.25 = 0.99707.
      (0.5, 1), (0.75, 1), (0.751, 2), (0.938, 2), (0.939, 3), (0.985, 3), (0.986, 4), (0.997, 4), (0.998, 5), (1, 5),
    ] as [(Double, Int)])
  func energy(value: Double, expected: Int) {
    #expect(rank(.energy(value)) == expected)
    // Kohya's count has nothing to do with this rule.
    #expect(rank(.energy(value), likeKohya: true) == expected)
  }

  @Test(
    "Kohya's Frobenius threshold t is the energy t²", arguments: stride(from: 0.05, through: 1, by: 0.05).map { $0 })
  func frobeniusIsEnergy(value: Double) {
    #expect(rank(.svFrobenius(value)) == max(1, rank(.energy(value * value))!))
  }

  @Test(
    "Counting like kohya adds exactly one, from at least one and to at most all",
    arguments: [
      (RankRule.svRatio(1), 2), (.svRatio(2.01), 3), (.svRatio(5), 4), (.svRatio(16), 5), (.svRatio(1e9), 5),
      (.svFrobenius(0.5), 2), (.svFrobenius(0.969), 4), (.svFrobenius(0.993), 5), (.svFrobenius(1), 5),
      (.svCumulative(0.1), 2), (.svCumulative(0.78), 4), (.svCumulative(0.91), 5), (.svCumulative(1), 5),
    ])
  func kohya(rule: RankRule, expected: Int) {
    #expect(rank(rule, likeKohya: true) == expected)
  }

  @Test("Counting like kohya leaves a single component alone")
  func kohyaSingle() {
    for rule in [RankRule.svRatio(2), .svFrobenius(0.9), .svCumulative(0.9)] {
      #expect(rank(rule, of: Spectrum([3]), likeKohya: true) == 1)
      #expect(rank(rule, of: Spectrum([3, 0]), likeKohya: true) == 1)
      #expect(rank(rule, of: Spectrum([3, 1e-9]), likeKohya: true) == 2)
    }
  }

  @Test("A rank is the same everywhere but for convolutions, and never more than there is")
  func fixed() {
    #expect(rank(.rank(2, conv: nil)) == 2)
    #expect(rank(.rank(2, conv: nil), isConvolution: true) == 2)
    #expect(rank(.rank(2, conv: 4)) == 2)
    #expect(rank(.rank(2, conv: 4), isConvolution: true) == 4)
    #expect(rank(.rank(9, conv: 7), isConvolution: true) == 5)
    #expect(rank(.rank(9, conv: nil), of: Spectrum([2, 1, 0, 0])) == 2)
  }

  @Test("An exact rule keeps everything but zeros")
  func exact() {
    #expect(rank(.exact) == 5)
    #expect(rank(.exact, of: Spectrum([2, 1e-300, 0])) == 2)
  }

  @Test("A zero delta needs no rank, and global rules give none by themselves", arguments: [[], [0, 0]] as [[Double]])
  func zero(values: [Double]) {
    for rule in [RankRule.exact, .rank(4, conv: nil), .energy(0.9), .svRatio(2), .svFrobenius(0.9), .svCumulative(0.9)]
    {
      #expect(rank(rule, of: Spectrum(values)) == 0)
      #expect(rank(rule, of: Spectrum(values), likeKohya: true) == 0)
    }
    #expect(rank(.size(.init(1000)), of: Spectrum(values)) == nil)
    #expect(rank(.maxError(0.1), of: Spectrum(values)) == nil)
    #expect(rank(.size(.init(1000))) == nil)
  }

  @Test(
    "Rules describe themselves",
    arguments: [
      (RankRule.exact, "exact"), (.rank(8, conv: nil), "rank 8"), (.rank(8, conv: 4), "rank 8, conv rank 4"),
      (.energy(0.95), "energy 0.95"), (.maxError(0.1), "max-error 0.1"), (.size(.init(20_000_000)), "size 20000000"),
      (.svRatio(2), "sv-ratio 2.0"), (.svFrobenius(0.9), "sv-fro 0.9"), (.svCumulative(0.9), "sv-cumulative 0.9"),
    ])
  func description(rule: RankRule, expected: String) {
    #expect(rule.description == expected)
  }
}
