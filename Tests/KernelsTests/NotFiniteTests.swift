import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// A number that is none must be seen in the picture: no kernel may swallow it.
@Suite struct NotFiniteTests {
  static let shapes = [(5, 7), (33, 40), (64, 64)].map { Channels(inputs: $0.0, outputs: $0.1) }

  struct Channels: Sendable, CustomStringConvertible {
    let inputs: Int
    let outputs: Int
    var description: String { "\(inputs) to \(outputs)" }
  }

  /// A map of ones and twos with one NaN, in the second sample.
  private func map(_ channels: Int, _ backend: any Backend) -> FeatureMap {
    var values = (0..<2 * 4 * 6 * channels).map { Float(1 + $0 % 2) }
    values[values.count * 3 / 4 + channels / 2] = .nan
    return FeatureMap(values, batch: 2, height: 4, width: 6, channels: channels, pool: backend.pool)
  }

  private func expectNaN(_ map: FeatureMap, _ what: String) {
    let values = map.values, half = values.count / 2
    #expect(values[half...].contains { $0.isNaN }, "\(what) swallows NaN")
    #expect(!values[..<half].contains { $0.isNaN }, "\(what) spreads NaN to another sample")
  }

  @Test("NaN goes through products", arguments: KernelsUnderTest.available, shapes)
  func products(_ kind: KernelsUnderTest, _ channels: Channels) {
    KernelThread.run {
      let backend = kind.make(), x = map(channels.inputs, backend)
      var generator = SplitMix64(seed: 8)
      let linear = backend.linear(
        weight: generator.weight(channels.outputs, channels.inputs), bias: nil, precision: backend.precision)
      expectNaN(linear(x, as: .f32), "a product")
      expectNaN(linear(x, as: backend.operand), "a product")
      for (geometry, isEnlarging) in [(ConvolutionGeometry.same, false), (.halving, false), (.same, true)] {
        let convolution = backend.convolution(
          weight: generator.weight(channels.outputs, channels.inputs, 3, 3), bias: nil, geometry: geometry,
          precision: backend.precision, expecting: MapSize(height: 64, width: 64), enlarging: isEnlarging)
        let size = isEnlarging ? x.size.doubled : nil
        expectNaN(convolution(x, after: nil, enlargedTo: size), "a convolution")
        guard !isEnlarging else { continue }
        let factors = backend.factors(
          of: generator.norm(channels.inputs, pool: backend.pool), groups: 1, for: x, offset: nil)
        expectNaN(convolution(x, after: factors.with(.silu), enlargedTo: nil), "a convolution after a norm")
        // Factors that are fine, and a map that is not.
        let fine = backend.factors(
          of: generator.norm(channels.inputs, pool: backend.pool), groups: 1,
          for: x.mapped(pool: backend.pool) { $0.isNaN ? 1 : $0 }, offset: nil)
        expectNaN(convolution(x, after: fine.with(.silu), enlargedTo: nil), "a convolution after a norm's factors")
      }
    }
  }

  @Test("NaN goes through norms, activations and sums", arguments: KernelsUnderTest.available, shapes)
  func rest(_ kind: KernelsUnderTest, _ channels: Channels) {
    KernelThread.run {
      let backend = kind.make(), x = map(channels.inputs, backend)
      var generator = SplitMix64(seed: 9)
      let norm = generator.norm(channels.inputs, pool: backend.pool)
      expectNaN(backend.layerNorm(x, norm, as: backend.operand), "a layer norm")
      for groups in [1, channels.inputs] {
        let factors = backend.factors(of: norm, groups: groups, for: x, offset: nil)
        for activation in [Activation.identity, .silu] {
          expectNaN(backend.normalized(x, by: factors.with(activation), as: backend.operand), "a group norm")
        }
      }
      for activation in [Activation.identity, .silu, .gelu, .quickGELU, .relu] {
        for format in [NumberFormat.f32, backend.operand] {
          expectNaN(backend.activated(x, activation, as: format), "\(activation)")
        }
      }
      expectNaN(backend.softlyLimited(x, to: 3), "the soft limit")
      let ones = x.mapped(pool: backend.pool) { _ in 1 }
      for (a, g) in [(x, ones), (ones, x)] {
        expectNaN(backend.gatedGELU(backend.asOperand(backend.concatenated(a, g))), "the gated GELU")
      }
      var sum = ones
      backend.add(x, to: &sum)
      expectNaN(sum, "a sum")
      let (good, bad) = (backend.asOperand(ones), backend.asOperand(x))
      for (q, k, v) in [(bad, good, good), (good, bad, good), (good, good, bad)] {
        for isCausal in [false, true] {
          expectNaN(backend.attention(q, k, v, heads: 1, isCausal: isCausal), "attention")
        }
      }
    }
  }

  @Test("the difference that tests use sees NaN")
  func differences() {
    #expect(largestDifference([1, .nan], [1, .nan]) == .infinity)
    #expect(largestDifference([1], [1, 2]) == .infinity)
    #expect(largestDifference([1, 2], [1, 2.5]) == 0.5)
    for kind in KernelsUnderTest.allCases {
      #expect(!kind.accepts([1, .nan], [1, 2], terms: 100))
      #expect(!kind.accepts([1, 2], [1, .nan], terms: 100))
      #expect(!kind.accepts([], [1], terms: 100))
      #expect(kind.accepts([1, 2], [1, 2], terms: 1))
    }
  }
}
