import Sampling
import TestSupport
import Testing

/// Proves that noise has torch's bits: short calls, long ones, tails, the number that is kept between short calls, and seeds
/// beyond 32 bits.
@Suite struct TorchNoiseTests {
  @Test("Calls of every size on one generator", arguments: NoiseGolden.all.torch.cases)
  func calls(golden: NoiseGolden) throws {
    var noise = TorchNoise(seed: try #require(UInt64(golden.seed)))
    for (size, expected) in zip(golden.sizes, golden.calls) {
      let found = noise.normals(count: size)
      #expect(found.map(\.bitPattern) == expected.values.map(\.bitPattern), "\(size) numbers")
    }
  }

  @Test("Latents of whole images", arguments: NoiseGolden.all.torch.long)
  func long(golden: NoiseGolden.Long) throws {
    var noise = TorchNoise(seed: try #require(UInt64(golden.seed)))
    let values = noise.normals(count: golden.size)
    #expect(values.count == golden.size)
    #expect(values.suffix(4).map(\.bitPattern) == golden.last.values.map(\.bitPattern))
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for value in values {
      for shift in [0, 8, 16, 24] as [UInt32] {
        hash = (hash ^ UInt64(value.bitPattern >> shift & 0xff)) &* 0x100_0000_01b3
      }
    }
    #expect("\(hash)" == golden.hash)
  }

  @Test("Only the low 32 bits of a seed count")
  func seeds() {
    var (low, high, other) = (TorchNoise(seed: 9), TorchNoise(seed: 9 + 1 << 40), TorchNoise(seed: 10))
    let values = low.normals(count: 20)
    #expect(high.normals(count: 20) == values)
    #expect(other.normals(count: 20) != values)
  }

  @Test("No numbers change nothing")
  func nothing() {
    var (noise, plain) = (TorchNoise(seed: 3), TorchNoise(seed: 3))
    #expect(noise.normals(count: 0) == [])
    #expect(noise.normals(count: 40) == plain.normals(count: 40))
  }

  @Test("A batch of sources gives each image its own noise")
  func batch() {
    var (first, second) = (TorchNoise(seed: 5), TorchNoise(seed: 6))
    var batch = BatchNoise([first, second])
    for count in [30, 7, 48] {
      #expect(batch.normals(count: 2 * count) == first.normals(count: count) + second.normals(count: count))
    }
  }

  @Test("The latents of a large image take less than 50 ms")
  func speed() {
    var noise = TorchNoise(seed: 1)
    let clock = ContinuousClock()
    // The best of several: other work on the machine must not make this red.
    let best = (0..<10).map { _ in clock.measure { #expect(noise.normals(count: 4 * 128 * 128).count == 65536) } }.min()
    print("65536 normal numbers in \(best ?? .zero)")
    #expect((best ?? .seconds(1)) < .milliseconds(50))
  }
}
