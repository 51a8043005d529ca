import Sampling
import TestSupport
import Testing

/// Proves the noise of AUTOMATIC1111's source "NV" against arithmetic with big integers in another language.
@Suite struct PhiloxNoiseTests {
  @Test("Calls on one generator", arguments: NoiseGolden.all.philox)
  func calls(golden: NoiseGolden) throws {
    var noise = PhiloxNoise(seed: try #require(UInt64(golden.seed)))
    for (size, expected) in zip(golden.sizes, golden.calls) {
      let found = noise.normals(count: size)
      #expect(found.count == size)
      // The last bit belongs to the logarithm and sine of the machine.
      for (a, b) in zip(found, expected.values) { #expect(abs(a - b) <= b.ulp, "\(size) numbers") }
    }
  }

  @Test("The values that its authors print for seed 0")
  func published() {
    var noise = PhiloxNoise(seed: 0)
    let expected: [Float] = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647]
    for (a, b) in zip(noise.normals(count: 5), expected) { #expect(abs(a - b) <= 1e-6 * abs(b)) }
  }

  @Test("An element does not depend on how many there are, a call does on those before it")
  func counters() {
    var (short, long) = (PhiloxNoise(seed: 8), PhiloxNoise(seed: 8))
    let first = short.normals(count: 3)
    #expect(Array(long.normals(count: 500).prefix(3)) == first)
    let second = short.normals(count: 3)
    #expect(second != first)
    #expect(Array(long.normals(count: 1)) == Array(second.prefix(1)))
  }

  @Test("Mean 0 and variance 1")
  func moments() {
    var noise = PhiloxNoise(seed: 77)
    let values = noise.normals(count: 100_000).map(Double.init)
    let mean = values.reduce(0, +) / 1e5
    let variance = values.reduce(0) { $0 + $1 * $1 } / 1e5
    // Five standard errors.
    #expect(abs(mean) <= 0.016)
    #expect(abs(variance - 1) <= 0.023)
  }
}
