import Platform
import TestSupport
import Testing

@testable import Merging

/// Proves that the profile has the width that was asked for, and that snapshots stand for the steps around them.
@Suite struct PowerAverageTests {
  @Test(
    "The power of a width, as published",
    arguments: [(0.05, 16.97), (0.10, 6.94), (0.15, 3.56), (0.20, 1.83), (0.25, 0.72)])
  func powers(width: Double, power: Double) {
    let found = PowerAverage(width: width).exponent
    #expect(abs(found - power) <= 0.005, "\(found)")
  }

  @Test("The profile's standard deviation is the width", arguments: [0.02, 0.05, 0.1, 0.2, 0.25, 0.28])
  func widths(width: Double) {
    let power = PowerAverage(width: width).exponent
    let found = (power + 1).squareRoot() / ((power + 2) * (power + 3).squareRoot())
    #expect(abs(found - width) <= 1e-12)
  }

  @Test("Weights sum to 1, rise, and are the profile's integral around each snapshot")
  func weights() {
    let average = PowerAverage(width: 0.1), steps = Array(1...12).map { 100 * $0 }
    let weights = average.weights(steps: steps)
    #expect(abs(weights.reduce(0, +) - 1) <= 1e-14)
    #expect(weights.dropLast() == weights.dropLast().sorted()[...])
    // By small rectangles; the powers of a number are those of its logarithm.
    let count = 120_000, power = average.exponent
    var sums = [Double](repeating: 0, count: 12)
    for index in 0..<count {
      let place = (Double(index) + 0.5) / Double(count)
      let nearest = min(11, max(0, Int((place * 12 - 0.5).rounded(.down))))
      sums[nearest] += exp(power * log(place)) * (power + 1) / Double(count)
    }
    for (found, expected) in zip(weights, sums) { #expect(abs(found - expected) <= 1e-6) }
  }

  @Test("One snapshot is all of it")
  func one() { #expect(PowerAverage(width: 0.1).weights(steps: [7]) == [1]) }
}
