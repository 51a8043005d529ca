import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// What transformers of tokens need, against formulas in double precision that share no code with the kernels.
@Suite struct TokenOperationTests {
  struct Extents: Sendable, CustomStringConvertible {
    let samples: Int, tokens: Int, heads: Int, size: Int
    var description: String { "\(samples) × \(tokens) tokens of \(heads) × \(size)" }
  }

  /// Around the lanes of vectors and the pieces of work.
  static let extents = [
    Extents(samples: 1, tokens: 1, heads: 1, size: 2), Extents(samples: 3, tokens: 5, heads: 3, size: 6),
    Extents(samples: 2, tokens: 33, heads: 2, size: 16), Extents(samples: 1, tokens: 300, heads: 5, size: 34),
    Extents(samples: 2, tokens: 40, heads: 30, size: 128),
  ]

  @Test("a norm of tokens, with one gain or one for each sample", arguments: KernelsUnderTest.available, extents)
  func norms(_ kind: KernelsUnderTest, _ extents: Extents) {
    KernelThread.run {
      let backend = kind.make(), channels = extents.heads * extents.size
      var generator = SplitMix64(seed: UInt64(extents.tokens))
      let x = FeatureMap.random(
        batch: extents.samples, width: extents.tokens, channels: channels, from: &generator, pool: backend.pool)
      var sum = FeatureMap.random(
        batch: extents.samples, width: extents.tokens, channels: channels, from: &generator, pool: backend.pool)
      let values = x.values.map(Double.init), before = sum
      for (samples, isCentered) in [(1, false), (extents.samples, false), (extents.samples, true)] {
        let gains = generator.floats(samples * channels)
        let norm = TokenNorm(
          gains: gains, samples: samples, isCentered: isCentered, epsilon: 0.25, pool: backend.pool)
        let expected = (0..<x.rows).flatMap { row -> [Float] in
          let own = values[row * channels..<(row + 1) * channels]
          let mean = isCentered ? own.reduce(0, +) / Double(channels) : 0
          let square = own.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(channels)
          let start = samples == 1 ? 0 : row / extents.tokens * channels
          return zip(own, gains[start...]).map { Float(($0 - mean) / sqrt(square + 0.25) * Double($1)) }
        }
        #expect(kind.accepts(backend.tokenNorm(x, norm, as: backend.operand).values, expected, terms: 4))
        sum = before
        backend.addTokenNorm(of: x, norm, to: &sum)
        let added = zip(before.values, expected).map { $0 + $1 }
        #expect(kind.accepts(sum.values, added, terms: 4))
      }
      // What somebody else holds stays as it was.
      #expect(before.values != sum.values)
    }
  }

  @Test(
    "heads that are normed and turned, as parts of a wider map", arguments: KernelsUnderTest.available, extents)
  func rotations(_ kind: KernelsUnderTest, _ extents: Extents) {
    KernelThread.run {
      let backend = kind.make(), channels = extents.heads * extents.size, half = extents.size / 2
      var generator = SplitMix64(seed: UInt64(extents.size))
      let wide = backend.asOperand(
        FeatureMap.random(
          batch: extents.samples, width: extents.tokens, channels: channels + 10, from: &generator, pool: backend.pool))
      let x = wide[channels: 4..<4 + channels], values = x.values.map(Double.init)
      let angles = generator.floats(extents.tokens * half).map { 3 * $0 }, gain = generator.floats(extents.size)
      for style in [RotationTable.Style.pairs, .halves] {
        for hasNorm in [true, false] {
          let table = RotationTable(angles: angles, tokens: extents.tokens, style: style, pool: backend.pool)
          let norm = hasNorm ? TokenNorm(gains: gain, samples: 1, epsilon: 0.25, pool: backend.pool) : nil
          var expected = [Float](repeating: .nan, count: values.count)
          for place in 0..<values.count / extents.size {
            var own = Array(values[place * extents.size..<(place + 1) * extents.size])
            let square = own.map { $0 * $0 }.reduce(0, +) / Double(extents.size)
            if hasNorm { own = zip(own, gain).map { $0 / sqrt(square + 0.25) * Double($1) } }
            for i in 0..<half {
              let (a, b) = style == .pairs ? (2 * i, 2 * i + 1) : (i, half + i)
              let angle = Double(angles[place / extents.heads % extents.tokens * half + i])
              expected[place * extents.size + a] = Float(own[a] * cos(angle) - own[b] * sin(angle))
              expected[place * extents.size + b] = Float(own[b] * cos(angle) + own[a] * sin(angle))
            }
          }
          let found = backend.rotated(x, heads: extents.heads, norm: norm, by: table)
          #expect(found.format == backend.operand && kind.accepts(found.values, expected, terms: 4))
        }
      }
    }
  }

  @Test("the first half's SiLU times the second half", arguments: KernelsUnderTest.available)
  func gated(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let backend = kind.make()
      var generator = SplitMix64(seed: 3)
      let x = backend.asOperand(
        FeatureMap.random(batch: 2, width: 301, channels: 2 * 37, from: &generator, pool: backend.pool))
      let values = x.values.map(Double.init)
      let expected = (0..<x.rows).flatMap { row in
        (0..<37).map { i -> Float in
          let a = values[row * 74 + i]
          return Float(a / (1 + exp(-a)) * values[row * 74 + 37 + i])
        }
      }
      #expect(kind.accepts(backend.gatedSiLU(x).values, expected, terms: 4))
    }
  }

  @Test("heads of keys that several heads of queries read", arguments: KernelsUnderTest.available, [true, false])
  func sharedKeys(_ kind: KernelsUnderTest, _ isCausal: Bool) {
    KernelThread.run {
      let backend = kind.make(), heads = 6, size = 24
      var generator = SplitMix64(seed: 17)
      func map(_ heads: Int) -> FeatureMap {
        backend.asOperand(
          FeatureMap.random(
            batch: 2, width: 150, channels: heads * size, from: &generator, pool: backend.pool))
      }
      let q = map(heads), k = map(2), v = map(2)
      // Each repeated for the neighbours that read it.
      func repeated(_ x: FeatureMap) -> FeatureMap {
        let values = x.values
        var wide: [Float] = []
        for row in 0..<x.rows {
          for head in 0..<heads {
            let start = (row * 2 + head / 3) * size
            wide += values[start..<start + size]
          }
        }
        return backend.asOperand(
          FeatureMap(
            wide, batch: x.batch, height: 1, width: x.width, channels: heads * size, pool: backend.pool))
      }
      let found = backend.attention(q, k, v, heads: heads, isCausal: isCausal)
      let expected = backend.attention(q, repeated(k), repeated(v), heads: heads, isCausal: isCausal)
      #expect(found.values == expected.values && found.channels == heads * size)
    }
  }

  @Test("tokens of one map behind those of another, sample by sample")
  func joining() {
    let pool = HostPool()
    let a = FeatureMap((0..<12).map { Float($0) }, batch: 2, height: 1, width: 3, channels: 2, pool: pool)
    let b = FeatureMap((12..<16).map { Float($0) }, batch: 2, height: 1, width: 1, channels: 2, pool: pool)
    let joined = a.followed(by: b, pool: pool)
    #expect(joined.values == [0, 1, 2, 3, 4, 5, 12, 13, 6, 7, 8, 9, 10, 11, 14, 15])
    #expect(joined.tokens(2..<4, pool: pool).values == [4, 5, 12, 13, 10, 11, 14, 15])
  }
}
