import LinearAlgebra
import TestSupport
import Testing

/// Proves what is read off the small coordinates of a product (angles, inner products, projections) against the long
/// vectors and dense matrices that they stand for.
@Suite struct SubspaceTests {
  /// Two adapters' components side by side: the first five and the last six.
  private let product = Product(.random, rows: 23, columns: 17, rank: 11, seed: 0xabc)
  private let first = [Double](repeating: 1, count: 5) + [Double](repeating: 0, count: 6)
  private let second = [Double](repeating: 0, count: 5) + (0..<6).map { 0.5 + Double($0) }

  @Test("inner products of cores are those of the dense products")
  func innerProducts() throws {
    let core = try product.core()
    let a = product.dense(weights: first)
    let b = product.dense(weights: second)
    let expected = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    let found = core.core(weights: first).inner(core.core(weights: second))
    #expect(abs(found - expected) <= 1e-13 * Dense.norm(a) * Dense.norm(b))
  }

  @Test("projections on singular pairs are those of the dense products")
  func projections() throws {
    let core = try product.core()
    let decomposition = try core.decomposed(weights: first)
    #expect(relativeDifference(decomposition.projections(of: core.core(weights: first)), decomposition.values) <= 1e-13)
    let values = decomposition.values.prefix(5)
    let (up, down) = product.mapped(by: decomposition.factorMaps(rank: 5))
    let image = Dense.product(
      Dense.transposed(up, rows: 23, columns: 5), product.dense(weights: second), rows: 5, inner: 23, columns: 17)
    let expected = (0..<5).map { k in
      let row = image[k * 17..<(k + 1) * 17]
      let direction = down[k * 17..<(k + 1) * 17]
      return zip(row, direction).reduce(0) { $0 + $1.0 * $1.1 } / values[k]
    }
    let found = Array(decomposition.projections(of: core.core(weights: second)).prefix(5))
    #expect(relativeDifference(found, expected) <= 1e-11)
  }

  @Test("coordinates of chosen components have the lengths and angles of the components")
  func coordinates() throws {
    var product = product
    for i in 0..<23 { product.up[i * 11 + 2] *= 0x1p30 }
    for i in 0..<17 { product.down[2 * 17 + i] *= 0x1p-30 }
    let core = try product.core()
    func upColumns(_ range: Range<Int>) -> [Double] { (0..<23).flatMap { i in range.map { product.up[i * 11 + $0] } } }
    let a = core.upCoordinates(of: 0..<5)
    let b = core.upCoordinates(of: 5..<11)
    let expectedLengths = Dense.singularValues(upColumns(0..<5), rows: 23, columns: 5)
    #expect(relativeDifference(try SingularValues.values(of: a), expectedLengths) <= 1e-12)
    let cross = Dense.product(
      Dense.transposed(upColumns(0..<5), rows: 23, columns: 5), upColumns(5..<11), rows: 5, inner: 23, columns: 6)
    #expect(
      relativeDifference(
        try SingularValues.values(of: a.transposedTimes(b)), Dense.singularValues(cross, rows: 5, columns: 6)) <= 1e-12)

    let downRows = Array(product.down[0..<5 * 17])
    let c = core.downCoordinates(of: 0..<5)
    #expect(
      relativeDifference(try SingularValues.values(of: c), Dense.singularValues(downRows, rows: 5, columns: 17))
        <= 1e-12)
  }

  @Test("a product projected on chosen subspaces is decomposed as its dense projection", arguments: [1, 3, 5])
  func projected(rank: Int) throws {
    let core = try product.core()
    let chooser = try core.decomposed(weights: first)
    let left = chooser.u.selecting(columns: 0..<rank)
    let right = chooser.vt.selecting(rows: 0..<rank).transposed
    let (up, down) = product.mapped(by: chooser.factorMaps(rank: rank))
    // Orthonormal bases of the same subspaces among the long vectors.
    let roots = chooser.values.prefix(rank).map { $0.squareRoot() }
    let u = up.enumerated().map { $1 / roots[$0 % rank] }
    let vt = down.enumerated().map { $1 / roots[$0 / 17] }
    let leftProjector = Dense.product(
      u, Dense.transposed(u, rows: 23, columns: rank), rows: 23, inner: rank, columns: 23)
    let rightProjector = Dense.product(
      Dense.transposed(vt, rows: rank, columns: 17), vt, rows: 17, inner: rank, columns: 17)
    let dense = product.dense(weights: second)
    let projected = Dense.product(
      Dense.product(leftProjector, dense, rows: 23, inner: 23, columns: 17), rightProjector, rows: 23, inner: 17,
      columns: 17)

    let found = try core.decomposed(weights: second, left: left, right: right)
    let expected = Array(Dense.singularValues(projected, rows: 23, columns: 17).prefix(rank))
    #expect(relativeDifference(found.values, expected) <= 1e-11)
    let (newUp, newDown) = product.mapped(by: found.factorMaps(rank: rank))
    #expect(relativeDifference(Dense.product(newUp, newDown, rows: 23, inner: rank, columns: 17), projected) <= 1e-10)
  }

  @Test("projecting works beside zero components and uneven gauges")
  func projectedDegenerate() throws {
    for seed in 0..<6 as Range<UInt64> {
      for kind in [Product.Kind.zeroComponents, .unevenGauge] {
        let product = Product(kind, rows: 12, columns: 15, rank: 9, seed: seed)
        let core = try product.core()
        let weights = [Double](repeating: 1, count: 9)
        let whole = try core.decomposed(weights: weights)
        // Projecting on the product's own spaces changes nothing.
        let same = try core.decomposed(weights: weights, left: whole.u, right: whole.vt.transposed)
        #expect(relativeDifference(same.values, whole.values) <= 1e-12, "\(product)")
        let (up, down) = product.mapped(by: same.factorMaps(rank: same.values.count))
        let rebuilt = Dense.product(up, down, rows: 12, inner: same.values.count, columns: 15)
        #expect(relativeDifference(rebuilt, product.dense(weights: weights)) <= 1e-9, "\(product)")
      }
    }
  }
}
