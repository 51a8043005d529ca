import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Kernels

/// Products, sums, joints and attention on maps that share memory or are parts of others.
@Suite struct MapTests {
  @Test("orders of numbers", arguments: [1, 3])
  func orders(_ batch: Int) {
    let pool = HostPool(), count = batch * 2 * 3 * 5
    let map = FeatureMap(
      planar: (0..<count).map(Float.init), batch: batch, channels: 5, height: 2, width: 3, pool: pool)
    #expect(map.planarValues == (0..<count).map(Float.init))
    // Sample 0, row 1, column 2: its channels are 6 apart in the planar order.
    #expect(Array(map.values[25..<30]) == [5, 11, 17, 23, 29])
    let values = map.values
    var second: [Float] = [], doubled: [Float] = []
    for value in values { doubled.append(2 * value) }
    for row in 0..<map.rows { second.append(values[5 * row + 1]) }
    #expect(map[channels: 1..<2].values == second)
    #expect(map.mapped(pool: pool) { 2 * $0 }.values == doubled)
    let picked = map.picked(rows: [1, 0], pool: pool).values
    #expect(Array(picked[0..<5]) == Array(values[5..<10]) && Array(picked[5...]) == Array(values[0..<5]))
  }

  @Test("adding leaves maps alone that share the memory", arguments: KernelsUnderTest.available)
  func copyOnWrite(_ kind: KernelsUnderTest) {
    KernelThread.run {
      var generator = SplitMix64(seed: 3)
      let backend = kind.make()
      let x = FeatureMap.random(batch: 2, height: 5, width: 7, channels: 19, from: &generator, pool: backend.pool)
      let y = FeatureMap.random(batch: 2, height: 5, width: 7, channels: 19, from: &generator, pool: backend.pool)
      let old = x.values
      var sum = x
      backend.add(y, to: &sum)
      #expect(sum.values == zip(old, y.values).map { $0 + $1 })
      #expect(x.values == old)
      // Alone, and added to itself.
      var own = FeatureMap(old, batch: 2, height: 5, width: 7, channels: 19, pool: backend.pool)
      backend.add(own, to: &own)
      #expect(own.values == old.map { 2 * $0 })

      let linear = backend.linear(weight: generator.weight(19, 19), bias: generator.bias(19), precision: .f32)
      sum = x
      linear.add(x, to: &sum)
      #expect(x.values == old)
      let expected = zip(linear(x, as: .f32).values, old).map { $0 + $1 }
      #expect(KernelsUnderTest.direct.accepts(sum.values, expected, terms: 19))
    }
  }

  @Test("a sum in memory of its own is made in place")
  func inPlace() {
    KernelThread.run {
      let backend = KernelsUnderTest.direct.make()
      var generator = SplitMix64(seed: 4)
      let x = FeatureMap.random(width: 40, channels: 8, from: &generator, pool: backend.pool)
      var sum = FeatureMap.random(width: 40, channels: 8, from: &generator, pool: backend.pool)
      let place = sum.base
      backend.add(x, to: &sum)
      #expect(sum.base == place)
    }
  }

  @Test("products of few and of many rows", arguments: KernelsUnderTest.available.filter { $0 != .reference })
  func products(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let plain = ReferenceBackend(), backend = kind.make()
      for (inputs, outputs) in [(1, 1), (3, 70), (33, 5), (130, 64)] {
        var generator = SplitMix64(seed: UInt64(inputs * 100 + outputs))
        let weight = generator.weight(outputs, inputs), bias = generator.bias(outputs)
        let linear = backend.linear(weight: weight, bias: bias, precision: backend.precision)
        let exact = plain.linear(weight: weight, bias: bias, precision: .f32)
        for rows in [1, 2, 77, 300, 1, 77] {
          let x = FeatureMap.random(batch: rows, width: 1, channels: inputs, from: &generator, pool: backend.pool)
          let expected = exact(x, as: .f32).values
          // Of one or a few numbers the mean error is no mean.
          if kind != .bf16 || expected.count > 70 {
            let found = linear(x, as: .f32).values
            #expect(
              kind.accepts(found, expected, terms: inputs),
              "\(rows) × \(inputs) to \(outputs): \(largestDifference(found, expected))")
          }
          var sum = FeatureMap.random(batch: rows, width: 1, channels: outputs, from: &generator, pool: backend.pool)
          let total = zip(expected, sum.values).map { $0 + $1 }
          linear.add(x, to: &sum)
          #expect(kind.accepts(sum.values, total, terms: inputs), "\(rows) × \(inputs) to \(outputs), added")
        }
      }
    }
  }

  @Test("joins channels", arguments: KernelsUnderTest.available)
  func joins(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let backend = kind.make()
      var generator = SplitMix64(seed: 6)
      let a = FeatureMap.random(batch: 2, height: 3, width: 4, channels: 5, from: &generator, pool: backend.pool)
      let b = FeatureMap.random(batch: 2, height: 3, width: 4, channels: 33, from: &generator, pool: backend.pool)
      let joined = backend.concatenated(a, b)
      #expect(joined.size == a.size && joined.channels == 38 && joined.batch == 2)
      #expect(joined[channels: 0..<5].values == a.values && joined[channels: 5..<38].values == b.values)
    }
  }

  @Test("limits softly", arguments: KernelsUnderTest.available)
  func limits(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let backend = kind.make()
      let numbers = (-400...400).map { Float($0) / 20 } + [0, 1e-6, -1e-4, 0.3, -0.37, 0.375, 100, -100, 1e30]
      let map = FeatureMap(numbers, batch: 1, height: 1, width: numbers.count, channels: 1, pool: backend.pool)
      for (x, y) in zip(numbers, backend.softlyLimited(map, to: 3).values) {
        let exact = 3 * tanh(Double(x) / 3)
        #expect(abs(Double(y) - exact) <= 4e-7 * max(abs(exact), 1e-3), "\(x): \(y), not \(exact)")
      }
    }
  }

  @Test("activations far from zero", arguments: KernelsUnderTest.available)
  func extremes(_ kind: KernelsUnderTest) {
    KernelThread.run {
      let backend = kind.make()
      let numbers: [Float] = [-1e30, -1000, -100, -88, 0, 88, 100, 1000, 1e30, .infinity]
      let map = FeatureMap(numbers, batch: 1, height: 1, width: numbers.count, channels: 1, pool: backend.pool)
      for activation in [Activation.silu, .gelu, .quickGELU, .relu] {
        for (x, y) in zip(numbers, backend.activated(map, activation, as: .f32).values) {
          // Nothing is left of e^-88 but a little in front of a huge number, which no network has.
          let limit = x < -1e6 ? abs(x) * 1e-37 : 1e-35
          #expect(x > 0 ? y == x : abs(y) <= limit, "\(activation) of \(x) is \(y)")
        }
      }
    }
  }
}
