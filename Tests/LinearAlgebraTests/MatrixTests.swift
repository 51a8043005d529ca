import LinearAlgebra
import TestSupport
import Testing

/// Proves that matrix products, norms and singular value decompositions agree with plain loops.
@Suite struct MatrixTests {
  private func random(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
    var generator = SplitMix64(seed: seed)
    return Matrix(rows: rows, columns: columns, elements: generator.gaussians(rows * columns))
  }

  @Test(
    "products with and without transposing equal plain sums",
    arguments: [(1, 1, 1), (2, 3, 4), (7, 1, 5), (1, 9, 1), (16, 33, 17)])
  func products(rows: Int, inner: Int, columns: Int) {
    let a = random(rows, inner, seed: 1)
    let b = random(inner, columns, seed: 2)
    let expected = Dense.product(a.elements, b.elements, rows: rows, inner: inner, columns: columns)
    for product in [a * b, a.timesTransposed(b.transposed), a.transposed.transposedTimes(b)] {
      #expect(product.rows == rows && product.columns == columns)
      #expect(relativeDifference(product.elements, expected) <= 1e-14)
    }
  }

  @Test("a product over no terms is zero")
  func emptyProduct() {
    #expect(Matrix(zeros: 2, 0) * Matrix(zeros: 0, 3) == Matrix(zeros: 2, 3))
    #expect((Matrix(zeros: 0, 2) * Matrix(zeros: 2, 3)).elements.isEmpty)
  }

  @Test("rows and columns are chosen, scaled, added and transposed in place")
  func arrangement() {
    let a = Matrix(rows: 2, columns: 3, elements: [1, 2, 3, 4, 5, 6])
    #expect(a.transposed.elements == [1, 4, 2, 5, 3, 6])
    #expect(a.selecting(columns: [2, 0]).elements == [3, 1, 6, 4])
    #expect(a.selecting(rows: [1]).elements == [4, 5, 6])
    #expect(a.scalingRows(by: [10, 1]).elements == [10, 20, 30, 4, 5, 6])
    #expect(a.scalingColumns(by: [1, 0, -1]).elements == [1, 0, -3, 4, 0, -6])
    #expect((a + a).elements == (2 * a).elements && (a - a) == Matrix(zeros: 2, 3))
    #expect(a.inner(a) == 91 && a[1, 0] == 4)
  }

  @Test("the norm is accurate for elements whose squares leave the range", arguments: [1e-200, 1, 1e200])
  func norm(size: Double) {
    let matrix = Matrix(rows: 1, columns: 2, elements: [3 * size, 4 * size])
    #expect(abs(matrix.frobeniusNorm - 5 * size) <= 1e-15 * 5 * size)
    #expect(Matrix(zeros: 0, 5).frobeniusNorm == 0)
  }

  @Test(
    "a decomposition is orthonormal, rebuilds the matrix, and its values are Jacobi's",
    arguments: [(1, 1), (5, 3), (3, 5), (30, 30), (40, 7), (7, 40)])
  func decomposition(rows: Int, columns: Int) throws {
    let a = random(rows, columns, seed: 3)
    let count = min(rows, columns)
    let svd = try SingularValues(of: a)
    var identity = Matrix(zeros: count, count)
    for i in 0..<count { identity[i, i] = 1 }
    #expect(relativeDifference(svd.u.transposedTimes(svd.u).elements, identity.elements) <= 1e-13)
    #expect(relativeDifference(svd.vt.timesTransposed(svd.vt).elements, identity.elements) <= 1e-13)
    #expect(relativeDifference((svd.u.scalingColumns(by: svd.values) * svd.vt).elements, a.elements) <= 1e-13)
    let expected = Dense.singularValues(a.elements, rows: rows, columns: columns)
    #expect(relativeDifference(svd.values, expected) <= 1e-13)
    #expect(relativeDifference(try SingularValues.values(of: a), expected) <= 1e-13)
  }

  @Test("an empty matrix has no singular values", arguments: [(0, 0), (0, 4), (4, 0)])
  func empty(rows: Int, columns: Int) throws {
    let svd = try SingularValues(of: Matrix(zeros: rows, columns))
    #expect(svd.values.isEmpty && svd.u.rows == rows && svd.vt.columns == columns)
    #expect(try SingularValues.values(of: Matrix(zeros: rows, columns)).isEmpty)
  }

  @Test("NaN and infinity have no singular values", arguments: [Double.nan, .infinity])
  func notFinite(value: Double) {
    var a = random(4, 4, seed: 4)
    a[2, 1] = value
    #expect(throws: LinearAlgebraError(.notFinite)) { try SingularValues(of: a) }
    #expect(throws: LinearAlgebraError(.notFinite)) { try SingularValues.values(of: a) }
  }

  @Test("the numerical rank leaves out what rounding alone makes")
  func numericalRank() {
    #expect([4, 2, 1e-15].numericalRank(rows: 10, columns: 10) == 2)
    #expect([4, 2, 1e-13].numericalRank(rows: 10, columns: 10) == 3)
    #expect([0, 0].numericalRank(rows: 10, columns: 10) == 0)
    #expect([Double]().numericalRank(rows: 10, columns: 10) == 0)
  }
}
