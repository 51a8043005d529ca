import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// Convolutions of random maps against plain loops: what the goldens do not have.
@Suite struct ConvolutionTests {
  struct Work: Sendable, CustomStringConvertible {
    var batch = 1
    let height: Int
    let width: Int
    let inputs: Int
    let outputs: Int
    var kernel = 3
    var geometry = ConvolutionGeometry.same
    var enlarged: MapSize?
    var seed: UInt64 { UInt64(height * 131 + width * 17 + inputs * 7 + outputs) }

    var description: String {
      "\(batch) × \(height) × \(width), \(inputs) to \(outputs), kernel \(kernel), stride \(geometry.stride)"
        + (enlarged.map { ", to \($0.height) × \($0.width)" } ?? "")
    }
  }

  static let plain = ConvolutionGeometry(
    stride: 1, before: MapSize(height: 0, width: 0), after: MapSize(height: 0, width: 0))

  static let works = [
    Work(height: 1, width: 1, inputs: 2, outputs: 1),
    Work(batch: 2, height: 5, width: 7, inputs: 3, outputs: 5),
    Work(batch: 3, height: 9, width: 4, inputs: 17, outputs: 15),
    Work(height: 6, width: 19, inputs: 33, outputs: 47),
    Work(batch: 2, height: 13, width: 10, inputs: 80, outputs: 64),
    Work(batch: 3, height: 4, width: 4, inputs: 64, outputs: 33),
    Work(height: 2, width: 3, inputs: 100, outputs: 36),
    Work(height: 7, width: 8, inputs: 5, outputs: 9, geometry: .halving),
    Work(batch: 2, height: 8, width: 11, inputs: 40, outputs: 40, geometry: .halving),
    Work(batch: 3, height: 9, width: 6, inputs: 7, outputs: 32, geometry: .halvingAtEnd),
    Work(height: 8, width: 8, inputs: 32, outputs: 32, geometry: .halvingAtEnd),
    Work(batch: 2, height: 5, width: 6, inputs: 20, outputs: 30, kernel: 1, geometry: plain),
    Work(
      batch: 2, height: 6, width: 5, inputs: 12, outputs: 8, kernel: 2,
      geometry: ConvolutionGeometry(
        stride: 1, before: MapSize(height: 1, width: 0), after: MapSize(height: 0, width: 1))),
  ]

  static let enlargements = [
    Work(batch: 2, height: 3, width: 5, inputs: 6, outputs: 6, enlarged: MapSize(height: 6, width: 10)),
    Work(batch: 3, height: 4, width: 7, inputs: 48, outputs: 40, enlarged: MapSize(height: 8, width: 14)),
    Work(height: 1, width: 9, inputs: 33, outputs: 35, enlarged: MapSize(height: 2, width: 18)),
    Work(batch: 2, height: 3, width: 5, inputs: 9, outputs: 7, enlarged: MapSize(height: 5, width: 9)),
    Work(batch: 2, height: 5, width: 6, inputs: 40, outputs: 33, enlarged: MapSize(height: 9, width: 12)),
    Work(height: 5, width: 6, inputs: 33, outputs: 40, enlarged: MapSize(height: 10, width: 11)),
    // No network does that; but it shows which pixel is repeated.
    Work(height: 3, width: 4, inputs: 8, outputs: 5, enlarged: MapSize(height: 7, width: 11)),
  ]

  static let native = KernelsUnderTest.available.filter { $0 != .reference }

  @Test("agrees with plain loops", arguments: native, works)
  func agrees(_ kind: KernelsUnderTest, _ work: Work) {
    KernelThread.run {
      for before in Before.allCases { compare(kind, work, before) }
    }
  }

  /// What a map goes through before the convolution.
  private enum Before: CaseIterable { case nothing, norm, normAndActivation }

  private func compare(_ kind: KernelsUnderTest, _ work: Work, _ before: Before) {
    var generator = SplitMix64(seed: work.seed)
    let backend = kind.make(), plain = ReferenceBackend()
    let weight = generator.weight(work.outputs, work.inputs, work.kernel, work.kernel)
    let bias = before == .norm ? nil : generator.bias(work.outputs)
    let x = FeatureMap.random(
      batch: work.batch, height: work.height, width: work.width, channels: work.inputs, from: &generator,
      pool: backend.pool)
    let norm = generator.norm(work.inputs, pool: backend.pool)
    var factors: NormFactors?
    if before != .nothing {
      factors = backend.factors(of: norm, groups: 1, for: x, offset: nil)
        .with(before == .norm ? .identity : .silu)
    }
    let size = MapSize(height: 64, width: 64), terms = work.inputs * work.kernel * work.kernel
    let exact = plain.convolution(
      weight: weight, bias: bias, geometry: work.geometry, precision: .f32, expecting: size, enlarging: false)
    let tested = backend.convolution(
      weight: weight, bias: bias, geometry: work.geometry, precision: backend.precision, expecting: size,
      enlarging: false)
    let expected = exact(x, after: factors, enlargedTo: nil), found = tested(x, after: factors, enlargedTo: nil)
    #expect(found.size == expected.size)
    let difference = largestDifference(found.values, expected.values)
    #expect(
      kind.accepts(found.values, expected.values, terms: terms), "seed \(work.seed), \(before): \(difference)")

    let addend = FeatureMap.random(
      batch: work.batch, height: expected.height, width: expected.width, channels: work.outputs, from: &generator,
      pool: backend.pool)
    let old = addend.values, total = zip(old, expected.values).map { $0 + $1 }
    var sum = addend
    tested.add(x, after: factors, to: &sum)
    let sumDifference = largestDifference(sum.values, total)
    #expect(kind.accepts(sum.values, total, terms: terms), "seed \(work.seed), \(before), added: \(sumDifference)")
    #expect(addend.values == old, "a map that another one shared its memory with has changed")
  }

  @Test("enlarges as plain loops do", arguments: native, enlargements)
  func enlarges(_ kind: KernelsUnderTest, _ work: Work) throws {
    let size = try #require(work.enlarged)
    KernelThread.run {
      var generator = SplitMix64(seed: work.seed)
      let backend = kind.make(), plain = ReferenceBackend()
      let weight = generator.weight(work.outputs, work.inputs, 3, 3), bias = generator.bias(work.outputs)
      let x = FeatureMap.random(
        batch: work.batch, height: work.height, width: work.width, channels: work.inputs, from: &generator,
        pool: backend.pool)
      func result(_ backend: any Backend) -> FeatureMap {
        let expected = MapSize(height: 64 + size.height % 2, width: 64 + size.width % 2)
        return backend.convolution(
          weight: weight, bias: bias, geometry: .same, precision: backend.precision, expecting: expected,
          enlarging: true)(x, after: nil, enlargedTo: size)
      }
      let found = result(backend), expected = result(plain)
      #expect(found.size == size)
      #expect(
        kind.accepts(found.values, expected.values, terms: 9 * work.inputs),
        "seed \(work.seed): \(largestDifference(found.values, expected.values))")
    }
  }

  @Test("a convolution made for one size computes others, again and again", arguments: native)
  func otherSizes(_ kind: KernelsUnderTest) {
    KernelThread.run {
      var generator = SplitMix64(seed: 11)
      let backend = kind.make(), plain = ReferenceBackend()
      let weight = generator.weight(36, 34, 3, 3), bias = generator.bias(36)
      func convolution(_ backend: any Backend) -> any Convolution {
        backend.convolution(
          weight: weight, bias: bias, geometry: .same, precision: backend.precision,
          expecting: MapSize(height: 32, width: 32), enlarging: false)
      }
      let tested = convolution(backend), exact = convolution(plain)
      for (batch, height, width) in [(1, 1, 1), (2, 24, 20), (1, 3, 40), (3, 2, 2), (1, 1, 1), (2, 24, 20)] {
        let x = FeatureMap.random(
          batch: batch, height: height, width: width, channels: 34, from: &generator, pool: backend.pool)
        let found = tested(x, after: nil, enlargedTo: nil).values,
          expected = exact(x, after: nil, enlargedTo: nil).values
        #expect(
          kind.accepts(found, expected, terms: 9 * 34),
          "\(batch) × \(height) × \(width): \(largestDifference(found, expected))")
      }
    }
  }

  @Test(
    "weights of the expected size are not arranged anew", arguments: native.filter { $0 != .winograd }, [4, 8, 14])
  func arrangedOnce(_ kind: KernelsUnderTest, _ extent: Int) throws {
    try KernelThread.run {
      var generator = SplitMix64(seed: 23)
      let backend = try #require(kind.make() as? NativeBackend), channels = 256
      let size = MapSize(height: extent, width: extent)
      let x = FeatureMap.random(
        batch: 2, height: extent, width: extent, channels: channels, from: &generator, pool: backend.pool)
      let convolution = backend.convolution(
        weight: generator.weight(channels, channels, 3, 3), bias: generator.bias(channels), geometry: .same,
        precision: backend.precision, expecting: size, enlarging: false)
      backend.pool.trim()
      let before = backend.pool.bytes
      for _ in 0..<2 {
        _ = convolution(x, after: nil, enlargedTo: nil)
        var sum = x
        convolution.add(x, after: nil, to: &sum)
      }
      // Maps and scratch have their share; weights in another layout would need more than half a megabyte in either format.
      let weights = 9 * channels * channels * (kind == .bf16 ? 2 : 4)
      #expect(backend.pool.bytes - before < weights, "\(backend.pool.bytes - before) bytes more")
    }
  }

  @Test("an offset joins a norm as if it had been added", arguments: KernelsUnderTest.available)
  func offset(_ kind: KernelsUnderTest) {
    KernelThread.run {
      var generator = SplitMix64(seed: 5)
      let backend = kind.make(), pool = backend.pool
      let x = FeatureMap.random(batch: 2, height: 3, width: 5, channels: 12, from: &generator, pool: pool)
      let offset = FeatureMap.random(batch: 2, width: 1, channels: 12, from: &generator, pool: pool)
      let norm = generator.norm(12, pool: pool)
      let numbers = x.values, offsets = offset.values
      let sum = FeatureMap(
        numbers.indices.map { numbers[$0] + offsets[$0 / (15 * 12) * 12 + $0 % 12] }, batch: 2, height: 3, width: 5,
        channels: 12, pool: pool)
      for groups in [1, 4, 12] {
        let together = backend.normalized(
          x, by: backend.factors(of: norm, groups: groups, for: x, offset: offset), as: .f32)
        let apart = backend.normalized(
          sum, by: backend.factors(of: norm, groups: groups, for: sum, offset: nil), as: .f32)
        let difference = largestDifference(together.values, apart.values)
        #expect(difference <= 2e-6, "\(groups) groups: \(difference)")
      }
    }
  }
}
