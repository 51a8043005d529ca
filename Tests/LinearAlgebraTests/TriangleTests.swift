import TestSupport
import Testing

@testable import LinearAlgebra

/// Proves that every way to the triangular factor carries the vectors' inner products, and that the fast ways step back
/// where they would lose accuracy.
@Suite struct TriangleTests {
  /// Vectors as columns; all but the first lean towards the first, so that their condition number is about `leaning`.
  private static func vectors(length: Int, count: Int, leaning: Double, seed: UInt64) -> [Double] {
    var generator = SplitMix64(seed: seed)
    var x = generator.gaussians(length * count)
    for i in 0..<length { for j in 1..<max(count, 1) { x[i * count + j] = x[i * count] * leaning + x[i * count + j] } }
    return x
  }

  private static func orthogonalised(_ x: [Double], _ layout: Triangle.Layout, length: Int, count: Int) -> Matrix {
    var x = x
    return x.withUnsafeMutableBufferPointer {
      Triangle.byOrthogonalisation($0.baseAddress!, layout, length: length, count: count)
    }
  }

  /// The triangle by the way that the code chooses, and whether it asked for the vectors.
  private static func chosen(_ x: [Double], _ layout: Triangle.Layout, length: Int, count: Int) -> (Matrix, Bool) {
    var x = x, hasAsked = false
    let gram = Triangle.gram(x, layout, length: length, count: count)
    let triangle = x.withUnsafeMutableBufferPointer { x in
      Triangle.factor(length: length, gram: gram, layout) {
        hasAsked = true
        return x.baseAddress!
      }
    }
    return (triangle, hasAsked)
  }

  @Test(
    "both layouts and all methods give RᵀR = the inner products",
    arguments: [(1, 1), (9, 1), (5, 5), (40, 7), (64, 32)], [0, 1, 10] as [Double])
  func agreement(size: (length: Int, count: Int), leaning: Double) throws {
    let (length, count) = size
    let columns = Self.vectors(length: length, count: count, leaning: leaning, seed: 9)
    let rows = Dense.transposed(columns, rows: length, columns: count)
    let expected = Dense.product(rows, columns, rows: count, inner: length, columns: count)
    for layout in [Triangle.Layout.columns, .rows] {
      let x = layout == .columns ? columns : rows
      let gram = Triangle.gram(x, layout, length: length, count: count)
      #expect(relativeDifference(gram.elements, expected) <= 1e-14)
      let cholesky = try #require(Triangle.cholesky(gram)).factor
      let householder = Self.orthogonalised(x, layout, length: length, count: count)
      let (chosen, hasAsked) = Self.chosen(x, layout, length: length, count: count)
      #expect(!hasAsked && chosen == cholesky)
      for triangle in [cholesky, householder] {
        #expect(relativeDifference(triangle.transposedTimes(triangle).elements, expected) <= 1e-13)
        for i in 0..<triangle.rows { for j in 0..<min(i, count) { #expect(triangle[i, j] == 0) } }
      }
      let fast = try SingularValues.values(of: cholesky), careful = try SingularValues.values(of: householder)
      for (a, b) in zip(fast, careful) { #expect(abs(a - b) <= 1e-8 * b) }
      #expect(fast.count == careful.count)
    }
  }

  @Test(
    "nearly dependent vectors keep their small singular values, whatever way is chosen",
    arguments: [1e4, 1e5, 1e6, 1e7, 1e9, 1e13], [Triangle.Layout.columns, .rows])
  func nearlyDependent(leaning: Double, layout: Triangle.Layout) throws {
    let columns = Self.vectors(length: 50, count: 8, leaning: leaning, seed: 11)
    let x = layout == .columns ? columns : Dense.transposed(columns, rows: 50, columns: 8)
    let (triangle, hasAsked) = Self.chosen(x, layout, length: 50, count: 8)
    #expect(hasAsked)
    let expected = Dense.singularValues(columns, rows: 50, columns: 8)
    for (value, truth) in zip(try SingularValues.values(of: triangle), expected) {
      // One Cholesky factorisation alone would err by 10⁻¹⁶·leaning² of the small ones.
      #expect(abs(value - truth) <= 1e-14 * expected[0])
    }
    for i in 0..<8 { for j in 0..<i { #expect(triangle[i, j] == 0) } }
  }

  @Test("equal vectors are left to orthogonalisation", arguments: [Triangle.Layout.columns, .rows])
  func dependent(layout: Triangle.Layout) throws {
    var generator = SplitMix64(seed: 12)
    let columns = generator.gaussians(30).flatMap { [$0, $0, -2 * $0] }
    let x = layout == .columns ? columns : Dense.transposed(columns, rows: 30, columns: 3)
    let (triangle, _) = Self.chosen(x, layout, length: 30, count: 3)
    #expect(triangle == Self.orthogonalised(x, layout, length: 30, count: 3))
    let values = try SingularValues.values(of: triangle)
    #expect(abs(values[0] - Dense.norm(columns)) <= 1e-14 * values[0] && values[1] <= 1e-15 * values[0])
  }

  @Test("more vectors than their length give a wide triangle", arguments: [Triangle.Layout.columns, .rows])
  func wide(layout: Triangle.Layout) {
    let columns = Self.vectors(length: 4, count: 9, leaning: 1, seed: 10)
    let x = layout == .columns ? columns : Dense.transposed(columns, rows: 4, columns: 9)
    let (triangle, _) = Self.chosen(x, layout, length: 4, count: 9)
    #expect(triangle.rows == 4 && triangle.columns == 9)
    let expected = Triangle.gram(x, layout, length: 4, count: 9)
    #expect(relativeDifference(triangle.transposedTimes(triangle).elements, expected.elements) <= 1e-13)
  }

  @Test("vectors of very different lengths are no reason to step back")
  func scaled() {
    let sizes = [1, 1e-9, 1e6, 1e-3, 1e9, 1]
    let x = Self.vectors(length: 30, count: 6, leaning: 0, seed: 12).enumerated().map { $1 * sizes[$0 % 6] }
    let (triangle, hasAsked) = Self.chosen(x, .columns, length: 30, count: 6)
    let careful = Self.orthogonalised(x, .columns, length: 30, count: 6)
    #expect(!hasAsked)
    // Rows agree up to their sign.
    for i in 0..<6 {
      for j in i..<6 {
        let difference = abs(triangle[i, j].magnitude - careful[i, j].magnitude)
        let limit = 1e-12 * max(careful[j, j].magnitude, careful[i, j].magnitude)
        #expect(difference <= limit)
      }
    }
  }
}
