import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// The same bits with any number of threads.
@Suite struct ThreadCountTests {
  static let kinds = KernelsUnderTest.available.filter { $0 != .reference }

  /// Runs `body` with 1, 2, 3 and 4 threads, and compares its numbers bit by bit.
  private func expectSame(_ kind: KernelsUnderTest, _ what: String, _ body: (any Backend) -> FeatureMap) {
    KernelThread.run {
      let results = (1...4).map { body(kind.make(threads: $0)).values.map(\.bitPattern) }
      for threads in 2...4 {
        #expect(results[threads - 1] == results[0], "\(what): \(threads) threads give other bits than one")
      }
    }
  }

  @Test("own kernels", arguments: kinds)
  func ownKernels(_ kind: KernelsUnderTest) {
    var generator = SplitMix64(seed: 21)
    let numbers = generator.floats(2 * 33 * 31 * 64), width = 31
    func map(_ backend: any Backend, channels: Int) -> FeatureMap {
      FeatureMap(
        Array(numbers.prefix(2 * 33 * width * channels)), batch: 2, height: 33, width: width, channels: channels,
        pool: backend.pool)
    }
    for channels in [6, 64] {
      let weights = generator
      func norm(_ backend: any Backend) -> Norm {
        var weights = weights
        return weights.norm(channels, pool: backend.pool)
      }
      expectSame(kind, "group norm of \(channels)") {
        let x = map($0, channels: channels)
        return $0.normalized(x, by: $0.factors(of: norm($0), groups: 2, for: x, offset: nil).with(.silu), as: .f32)
      }
      expectSame(kind, "layer norm of \(channels)") { $0.layerNorm(map($0, channels: channels), norm($0), as: .f32) }
      expectSame(kind, "gated GELU of \(channels)") { $0.gatedGELU($0.asOperand(map($0, channels: channels))) }
      expectSame(kind, "GELU of \(channels)") { $0.activated(map($0, channels: channels), .gelu, as: .f32) }
      expectSame(kind, "joint of \(channels)") {
        $0.concatenated(map($0, channels: channels), map($0, channels: channels))
      }
      expectSame(kind, "sum of \(channels)") {
        var sum = map($0, channels: channels)
        $0.add(map($0, channels: channels), to: &sum)
        return sum
      }
      expectSame(kind, "attention of \(channels)") {
        let x = $0.asOperand(map($0, channels: channels))
        return $0.attention(x, x, x, heads: 2, isCausal: channels == 6)
      }
    }
  }
}
