import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// Products that are written over what they were made of.
@Suite struct LinearTests {
  private static let rows = 40_000

  /// A product and a map of many rows.
  private func work(_ kind: KernelsUnderTest, outputs: Int, seed: UInt64) -> (any Backend, any Linear, FeatureMap) {
    var generator = SplitMix64(seed: seed)
    let backend = kind.make(), inputs = 10
    let linear = backend.linear(
      weight: generator.weight(outputs, inputs), bias: generator.bias(outputs), precision: backend.precision)
    return (
      backend, linear,
      FeatureMap.random(
        batch: 2, height: 4, width: Self.rows / 8, channels: inputs, from: &generator, pool: backend.pool)
    )
  }

  @Test("a product in the memory of its operand is the same", arguments: KernelsUnderTest.available, [3, 10, 11])
  func replaces(_ kind: KernelsUnderTest, _ outputs: Int) {
    KernelThread.run {
      let seed = UInt64(outputs), (backend, linear, x) = work(kind, outputs: outputs, seed: seed)
      let expected = linear(x, as: .f32).values
      var result = FeatureMap(x.values, like: x, pool: backend.pool)
      linear.replace(&result)
      #expect(result.channels == outputs && result.size == x.size && result.batch == x.batch)
      let difference = largestDifference(result.values, expected)
      #expect(difference <= 1e-6 * rootMeanSquare(expected), "seed \(seed): \(difference)")
    }
  }

  @Test("a product in the memory of its operand takes little more", arguments: KernelsUnderTest.available)
  func memory(_ kind: KernelsUnderTest) {
    KernelThread.run {
      var (backend, linear, x) = work(kind, outputs: 10, seed: 4)
      let map = 4 * x.count, before = backend.pool.bytes
      linear.replace(&x)
      #expect(backend.pool.bytes - before < map * 3 / 4, "\(backend.pool.bytes - before) bytes for a map of \(map)")
    }
  }

  @Test("an operand that somebody else reads stays as it is", arguments: KernelsUnderTest.available)
  func shared(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let (backend, linear, x) = work(kind, outputs: 10, seed: 5)
      let old = x.values, expected = linear(x, as: .f32).values
      var result = x
      linear.replace(&result)
      #expect(x.values == old && result.values == expected)
      withExtendedLifetime(backend) {}
    }
  }
}
