import LinearAlgebra
import TestSupport
import Testing

/// Proves that a product of factors has the singular values, norms and best approximations that its dense matrix has,
/// computed here with plain loops and Jacobi rotations.
@Suite struct ProductCoreTests {
  @Test("singular values are those of the dense product", arguments: Product.all)
  func singularValues(product: Product) throws {
    let core = try product.core()
    let found = try core.decomposed(weights: product.weights).values
    let dense = product.dense(weights: product.weights)
    let expected = Dense.singularValues(dense, rows: product.rows, columns: product.columns)
    let largest = max(expected.first ?? 0, .leastNormalMagnitude)
    #expect(found == found.sorted(by: >))
    #expect(found.count <= expected.count)
    for (i, value) in expected.enumerated() {
      let error = abs((i < found.count ? found[i] : 0) - value) / largest
      #expect(error <= 1e-13, "value \(i) of \(product)")
    }
    #expect(abs(core.core(weights: product.weights).frobeniusNorm - Dense.norm(dense)) <= 1e-13 * Dense.norm(dense))
  }

  @Test("factor maps rebuild the product, and balance its factors", arguments: Product.all)
  func factorMaps(product: Product) throws {
    let decomposition = try product.core().decomposed(weights: product.weights)
    let values = decomposition.values
    let rank = values.prefix { $0 > 1e-9 * values[0] }.count
    let (up, down) = product.mapped(by: decomposition.factorMaps(rank: rank))
    let dense = product.dense(weights: product.weights)
    let rebuilt = Dense.product(up, down, rows: product.rows, inner: rank, columns: product.columns)
    #expect(relativeDifference(rebuilt, dense) <= 1e-8, "\(product)")
    // Both Gram matrices of balanced factors are diag(σ).
    let upGram = Dense.product(
      Dense.transposed(up, rows: product.rows, columns: rank), up, rows: rank, inner: product.rows, columns: rank)
    let downGram = Dense.product(
      down, Dense.transposed(down, rows: rank, columns: product.columns), rows: rank, inner: product.columns,
      columns: rank)
    for i in 0..<rank {
      for j in 0..<rank {
        let expected = i == j ? values[i] : 0
        let unit = (values[i] * values[j]).squareRoot()
        // Directions of singular vectors are as uncertain as rounding is against their own value.
        let limit = 1e-11 * values[0] / unit
        #expect(abs(upGram[i * rank + j] - expected) / unit <= limit, "up \(i), \(j) of \(product)")
        #expect(abs(downGram[i * rank + j] - expected) / unit <= limit, "down \(i), \(j) of \(product)")
      }
    }
  }

  @Test("the leading triples are the best approximation of their rank", arguments: [1, 2, 5, 9])
  func truncation(rank: Int) throws {
    let product = Product(.weighted, rows: 31, columns: 24, rank: 20, seed: 77)
    let decomposition = try product.core().decomposed(weights: product.weights)
    let (up, down) = product.mapped(by: decomposition.factorMaps(rank: rank))
    let dense = product.dense(weights: product.weights)
    let rebuilt = Dense.product(up, down, rows: 31, inner: rank, columns: 24)
    let dropped = Dense.norm(Array(Dense.singularValues(dense, rows: 31, columns: 24).dropFirst(rank)))
    #expect(abs(Dense.norm(zip(rebuilt, dense).map { $0 - $1 }) - dropped) <= 1e-12 * dropped)
  }

  @Test(
    "singular values spread over eight decades, in any order, keep their relative accuracy",
    arguments: 0..<8 as Range<UInt64>)
  func graded(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let rank = 12
    let rows = 40
    let columns = 33
    let left = orthonormal(rows, rank, &generator)
    let right = orthonormal(columns, rank, &generator)
    let sizes = (0..<rank).map { Double(sign: .plus, exponent: -27 * $0 / 11, significand: 1.5) }
    var product = Product(.random, rows: rows, columns: columns, rank: rank, seed: seed)
    let order = (0..<rank).shuffled(using: &generator)
    for (j, place) in order.enumerated() {
      let gauge = Double(sign: .plus, exponent: generator.below(21) - 10, significand: 1.25)
      for i in 0..<rows { product.up[i * rank + j] = left[place][i] * sizes[place] * gauge }
      for i in 0..<columns { product.down[j * columns + i] = right[place][i] / gauge }
    }
    let found = try product.core().decomposed(weights: product.weights).values
    for (value, expected) in zip(found, sizes) { #expect(abs(value - expected) <= 1e-12 * expected, "seed \(seed)") }
    #expect(found.count == rank)
  }

  @Test("a product without a component is zero, whichever factor is", arguments: [true, false])
  func zero(upIsZero: Bool) throws {
    var product = Product(.random, rows: 6, columns: 4, rank: 3, seed: 3)
    if upIsZero { product.up = product.up.map { _ in 0 } } else { product.down = product.down.map { _ in 0 } }
    let core = try product.core()
    #expect(core.isZero && core.componentCount == 3)
    let decomposition = try core.decomposed(weights: [1, 1, 1])
    #expect(decomposition.values.isEmpty && decomposition.numericalRank(rows: 6, columns: 4) == 0)
    let (up, down) = product.mapped(by: decomposition.factorMaps(rank: 0))
    #expect(up.isEmpty && down.isEmpty)
    #expect(core.core(weights: [1, 1, 1]).frobeniusNorm == 0)
  }

  @Test(
    "NaN or infinity anywhere in a factor is refused", arguments: [Double.nan, .infinity, -.infinity], [true, false])
  func notFinite(value: Double, inUp: Bool) throws {
    for place in [0, 7, 11] {
      var product = Product(.random, rows: 4, columns: 4, rank: 3, seed: 5)
      if inUp { product.up[place] = value } else { product.down[place] = value }
      #expect(throws: LinearAlgebraError(.notFinite)) { try product.core() }
    }
    #expect("\(LinearAlgebraError(.notFinite))" == "the values contain NaN or infinity")
  }

  private func orthonormal(_ length: Int, _ count: Int, _ generator: inout SplitMix64) -> [[Double]] {
    var vectors: [[Double]] = []
    while vectors.count < count {
      var vector = generator.gaussians(length)
      for _ in 0..<3 {
        for other in vectors {
          let share = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
          vector = zip(vector, other).map { $0 - share * $1 }
        }
        let size = Dense.norm(vector)
        vector = vector.map { $0 / size }
      }
      vectors.append(vector)
    }
    return vectors
  }
}
