import TestSupport
import Testing

@testable import LinearAlgebra

/// Proves that a product is decomposed and cut by its inner products as by its dense matrix, computed here with plain loops and
/// Jacobi rotations; and that products which inner products say too little of are left to others.
@Suite struct ProductSpectrumTests {
  private func spectrum(
    _ product: Product, parts: [Range<Int>] = [], moments: (mean: Matrix, alike: Double)? = nil
  ) throws -> ProductSpectrum? {
    let grams = try product.up.withUnsafeBufferPointer { up in
      try product.down.withUnsafeBufferPointer { down in
        try FactorGrams(up: up, down: down, rows: product.rows, columns: product.columns, rank: product.rank)
      }
    }
    return try ProductSpectrum(grams, weights: product.weights, parts: parts, moments: moments)
  }

  /// Independent components, as those of trained adapters are.
  static let products: [Product] = [
    Product(.random, rows: 40, columns: 30, rank: 8, seed: 1), Product(.random, rows: 7, columns: 40, rank: 5, seed: 2),
    Product(.weighted, rows: 31, columns: 24, rank: 20, seed: 77),
    Product(.unevenGauge, rows: 33, columns: 21, rank: 9, seed: 4),
    Product(.zeroComponents, rows: 20, columns: 25, rank: 12, seed: 5),
    Product(.graded, rows: 30, columns: 30, rank: 3, seed: 6), Product(.random, rows: 5, columns: 4, rank: 1, seed: 7),
    Product(.random, rows: 1, columns: 1, rank: 1, seed: 8), almostShared,
  ]

  /// Three adapters with the same input directions, but for a thousandth.
  private static var almostShared: Product {
    var product = Product(.random, rows: 36, columns: 28, rank: 12, seed: 9)
    for j in 4..<12 {
      for i in 0..<28 { product.down[j * 28 + i] = product.down[j % 4 * 28 + i] + 1e-3 * product.down[j * 28 + i] }
    }
    return product
  }

  @Test("singular values and energies are those of the dense product", arguments: products)
  func values(product: Product) throws {
    let found = try #require(try spectrum(product), "\(product)")
    let dense = product.dense(weights: product.weights)
    let expected = Dense.singularValues(dense, rows: product.rows, columns: product.columns)
    #expect(found.values == found.values.sorted(by: >) && found.values == found.carried)
    for (i, value) in expected.enumerated() {
      let own = i < found.values.count ? found.values[i] : 0
      #expect(abs(own * own - value * value) <= 1e-14 * expected[0] * expected[0], "value \(i) of \(product)")
      // What is a hundredth of the largest or more is as good as the dense one.
      if value > 1e-2 * expected[0] { #expect(abs(own - value) <= 1e-12 * expected[0], "value \(i) of \(product)") }
    }
    #expect(zip(found.values, found.energies).allSatisfy { $0 * $0 == $1 })
  }

  @Test("every cut is the best one, in balanced factors", arguments: products)
  func cuts(product: Product) throws {
    let found = try #require(try spectrum(product)), dense = product.dense(weights: product.weights)
    let expected = Dense.singularValues(dense, rows: product.rows, columns: product.columns), norm = Dense.norm(dense)
    for rank in 1...found.values.count where found.values[rank - 1] > 1e-5 * found.values[0] {
      let maps = try #require(try found.cut(to: rank)).maps
      #expect(maps.rank == rank)
      let (up, down) = product.mapped(by: maps)
      let kept = Dense.product(up, down, rows: product.rows, inner: rank, columns: product.columns)
      let error = Dense.norm(zip(kept, dense).map { $0 - $1 }), best = Dense.norm(Array(expected.dropFirst(rank)))
      #expect(error * error - best * best <= 1e-13 * norm * norm, "rank \(rank) of \(product)")
      if best > 1e-3 * norm { #expect(error <= (1 + 1e-10) * best, "rank \(rank) of \(product)") }
      for i in 0..<rank {
        let column = Dense.norm((0..<product.rows).map { up[$0 * rank + i] })
        let row = Dense.norm(Array(down[i * product.columns..<(i + 1) * product.columns]))
        let limit = 1e-12 * (expected[0] / expected[i]) * (expected[0] / expected[i])
        #expect(abs(column * column - expected[i]) <= limit * expected[i], "up \(i) of \(product)")
        #expect(abs(row * row - expected[i]) <= limit * expected[i], "down \(i) of \(product)")
      }
    }
  }

  @Test("inner products of parts with what is kept are those of dense matrices", arguments: products)
  func parts(product: Product) throws {
    let ranges = [0..<product.rank / 3, product.rank / 3..<product.rank]
    let found = try #require(try spectrum(product, parts: ranges)), dense = product.dense(weights: product.weights)
    let size = Dense.norm(dense) * Dense.norm(dense)
    for (part, range) in ranges.enumerated() {
      let weights = product.weights.indices.map { range.contains($0) ? product.weights[$0] : 0 }
      let own = product.dense(weights: weights)
      func inner(_ other: [Double]) -> Double { zip(own, other).reduce(0) { $0 + $1.0 * $1.1 } }
      #expect(abs(found.partEnergies[part] - inner(own)) <= 1e-13 * size, "\(product)")
      #expect(abs(found.partInners[part] - inner(dense)) <= 1e-13 * size, "\(product)")
      for rank in 0...found.values.count where rank == 0 || found.values[rank - 1] > 1e-4 * found.values[0] {
        let inners = try found.inners(rank: rank)
        guard rank > 0 else {
          #expect(inners == [0, 0])
          continue
        }
        let cut = try #require(try found.cut(to: rank)), (up, down) = product.mapped(by: cut.maps)
        let kept = Dense.product(up, down, rows: product.rows, inner: rank, columns: product.columns)
        #expect(abs(inners[part] - inner(kept)) <= 1e-12 * size, "rank \(rank) of \(product)")
        #expect(abs(cut.inners[part] - inner(kept)) <= 1e-12 * size, "rank \(rank) of \(product)")
      }
    }
  }

  @Test("cut by what inputs carry it is what the core's directions give", arguments: products)
  func weighed(product: Product) throws {
    let inputs = OutputDirectionsTests.Inputs(60, columns: product.columns, seed: 11)
    let moments = inputs.moments(of: product).mean, core = try product.core()
    for alike in [0, 0.1, 1] {
      let found = try #require(try spectrum(product, moments: (moments, alike)))
      let expected = try core.outputDirections(weights: product.weights, moments: moments, alike: alike)
      let largest = expected.values[0]
      for (own, value) in zip(found.carried, expected.values) {
        #expect(abs(own * own - value * value) <= 1e-12 * largest * largest, "\(product)")
      }
      let dense = product.dense(weights: product.weights), size = Dense.norm(dense) * Dense.norm(dense)
      for rank in 1...found.values.count where expected.values[rank - 1] > 1e-3 * largest {
        let (up, down) = product.mapped(by: try #require(try found.cut(to: rank)).maps)
        let kept = Dense.product(up, down, rows: product.rows, inner: rank, columns: product.columns)
        let rest = zip(dense, kept).map { $0 - $1 }
        let tail = found.energies.dropFirst(rank).reduce(0, +)
        #expect(abs(Dense.norm(rest) * Dense.norm(rest) - tail) <= 1e-11 * size, "rank \(rank) of \(product)")
        if alike == 0 {
          let outputs = inputs.outputs(of: rest, rows: product.rows, columns: product.columns)
          let lost = Dense.norm(outputs) * Dense.norm(outputs) / 60
          let left = expected.values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }
          #expect(abs(lost - left) <= 1e-11 * largest * largest, "rank \(rank) of \(product)")
        }
      }
    }
  }

  @Test("moments of one input, of none and of all alike leave nothing undefined")
  func fewInputs() throws {
    let product = Product(.random, rows: 12, columns: 9, rank: 5, seed: 1), plain = try #require(try spectrum(product))
    let one = OutputDirectionsTests.Inputs(1, columns: 9, seed: 3).moments(of: product).mean
    for rank in 1...4 {
      let found = try #require(try spectrum(product, moments: (one, 0)))
      let cut = try #require(try found.cut(to: rank))
      #expect(cut.maps.up.elements.allSatisfy(\.isFinite) && cut.maps.down.elements.allSatisfy(\.isFinite))
    }
    let none = try #require(try spectrum(product, moments: (Matrix(zeros: 5, 5), 0.3)))
    for (a, b) in zip(none.carried, plain.values) { #expect(abs(a - b) <= 1e-12 * plain.values[0]) }
    var broken = one
    broken[1, 1] = .nan
    #expect(throws: LinearAlgebraError(.notFinite)) { try spectrum(product, moments: (broken, 0)) }
  }

  @Test("tiny and huge weights change nothing but the size", arguments: [-330, -60, 60, 300])
  func sizes(exponent: Int) throws {
    var product = Product(.random, rows: 14, columns: 11, rank: 6, seed: 21)
    let plain = try #require(try spectrum(product))
    product.weights = product.weights.map { _ in Double(sign: .plus, exponent: exponent, significand: 1) }
    let scaled = try #require(try spectrum(product))
    #expect(scaled.values == plain.values.map { Double(sign: .plus, exponent: exponent, significand: $0) })
  }

  @Test("what inner products say too little of is left to the core", arguments: 0..<6)
  func refused(place: Int) throws {
    var product = Product(.random, rows: 20, columns: 16, rank: 6, seed: 31)
    switch place {
    case 0: product = Product(.duplicated, rows: 20, columns: 16, rank: 6, seed: 31)
    case 1: product = Product(.random, rows: 20, columns: 4, rank: 6, seed: 31)
    case 2: product = Product(.random, rows: 4, columns: 20, rank: 6, seed: 31)
    case 3: product.weights = product.weights.map { _ in 0 }
    case 4:
      // Equal rows of `down` whose columns of `up` are not: fewer singular values than components.
      for i in 0..<16 { product.down[i] = product.down[16 + i] }
    default:
      // Two components that cancel but for a millionth.
      for i in 0..<20 { product.up[i * 6] = 1e9 * product.up[i * 6 + 1] + product.up[i * 6] }
      for i in 0..<20 { product.up[i * 6 + 1] *= 1e9 }
      for i in 0..<16 { product.down[i] = -product.down[16 + i] }
    }
    #expect(try spectrum(product) == nil)
  }

  @Test("components too small to be told are not made")
  func tooSmall() throws {
    var product = Product(.random, rows: 20, columns: 16, rank: 3, seed: 41)
    product.weights = [1, 1, 2e-6]
    let found = try #require(try spectrum(product))
    #expect(try found.cut(to: 2) != nil && found.cut(to: 3) == nil)
  }
}
