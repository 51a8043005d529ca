import Foundation
import TestSupport
import Testing

@testable import LinearAlgebra

/// Spectra of dense matrices against one-sided Jacobi rotations in double precision, and against how the matrices were made.
@Suite struct DenseSpectrumTests {
  /// A matrix of given singular values on random orthonormal directions.
  struct Sample {
    let matrix: Matrix
    let values: [Double]

    init(_ rows: Int, _ columns: Int, values: [Double], seed: UInt64) {
      var noise = SplitMix64(seed: seed)
      let u = Self.orthonormal(rows, values.count, &noise), v = Self.orthonormal(columns, values.count, &noise)
      var elements = [Double](repeating: 0, count: rows * columns)
      for k in values.indices {
        for i in 0..<rows { for j in 0..<columns { elements[i * columns + j] += values[k] * u[k][i] * v[k][j] } }
      }
      matrix = Matrix(rows: rows, columns: columns, elements: elements)
      self.values = values + Array(repeating: 0, count: min(rows, columns) - values.count)
    }

    private static func orthonormal(_ length: Int, _ count: Int, _ noise: inout SplitMix64) -> [[Double]] {
      var result: [[Double]] = []
      for _ in 0..<count {
        var x = noise.gaussians(length)
        for _ in 0..<2 {
          for y in result {
            let share = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
            x = zip(x, y).map { $0 - share * $1 }
          }
        }
        let size = Dense.norm(x)
        result.append(x.map { $0 / size })
      }
      return result
    }
  }

  /// What the spectra look like: flat, steep to 10⁻¹², in groups of equal values, with a gap, of low rank, one value.
  static let spectra: [(name: String, values: [Double])] = [
    ("flat", falling { 1 - 0.01 * $0 }),
    ("equal", falling { _ in 3 }),
    ("groups of equal values", falling { [1, 0.5, 1e-4, 1e-9][Int($0) / 10] }),
    ("steep", falling { pow(10, -12 * $0 / 39) }),
    ("steeper at the end", falling { 1 - 0.999999 * $0 / 39 }),
    ("few large", falling { $0 < 4 ? 1 : 1e-5 * (50 - $0) }),
    ("few small", falling { $0 < 37 ? 1 : 1e-7 * (50 - $0) }),
    ("rank 12", Array(falling { pow(10, -$0 / 3) }.prefix(12))),
    ("rank 1", [0.3]),
  ]

  private static func falling(_ value: (Double) -> Double) -> [Double] { (0..<40).map { value(Double($0)) } }

  static let shapes = [(40, 40), (40, 131), (131, 40)]

  @Test(arguments: spectra.indices, shapes.indices)
  func valuesAreThoseOfTheMatrix(_ spectrum: Int, _ shape: Int) throws {
    let (name, values) = Self.spectra[spectrum], (rows, columns) = Self.shapes[shape]
    let sample = Sample(rows, columns, values: values, seed: 17 + UInt64(spectrum))
    let reference = Dense.singularValues(sample.matrix.elements, rows: rows, columns: columns)
    for factor in [1, 1e-170, -1e170] {
      let found = try DenseSpectrum(of: factor * sample.matrix, vectors: 40)
      try #require(found.values.count == 40)
      for (k, value) in found.values.enumerated() {
        let size = abs(factor) * values[0]
        #expect(abs(value - abs(factor) * reference[k]) <= 1e-12 * size, "\(name), \(rows) × \(columns), value \(k)")
        #expect(
          abs(value - abs(factor) * sample.values[k]) <= 3e-12 * size, "\(name), \(rows) × \(columns), value \(k)")
        #expect(k == 0 || value <= found.values[k - 1])
      }
    }
  }

  @Test(arguments: spectra.indices, shapes.indices)
  func cutsAreTheBest(_ spectrum: Int, _ shape: Int) throws {
    let (name, values) = Self.spectra[spectrum], (rows, columns) = Self.shapes[shape], isWide = rows <= columns
    let matrix = Sample(rows, columns, values: values, seed: 170 + UInt64(spectrum)).matrix
    let reference = Dense.singularValues(matrix.elements, rows: rows, columns: columns)
    for rank in [1, 3, 11, 20, 39, 40] where rank <= values.count {
      let found = try DenseSpectrum(of: matrix, vectors: rank)
      try #require(found.vectors.rows == rank, "\(name), \(rows) × \(columns)")
      #expect(deviation(found.vectors) <= 1e-12, "\(name), \(rows) × \(columns), rank \(rank)")
      let short = Dense.norm(reference.dropFirst(rank).map { $0 })
      let maps = found.factorMaps(rank: rank, isWide: isWide)
      let product =
        isWide ? maps.up * (maps.down * matrix) : (matrix * maps.up) * maps.down
      let error = (matrix - product).frobeniusNorm
      #expect(error <= (1 + 1e-10) * short + 1e-13 * values[0], "\(name), \(rows) × \(columns), rank \(rank)")
    }
  }

  private func deviation(_ rows: Matrix) -> Double {
    let gram = rows.timesTransposed(rows)
    var worst = 0.0
    for i in 0..<gram.rows {
      for j in 0..<gram.rows {
        let difference = abs(gram[i, j] - (i == j ? 1 : 0))
        worst = difference <= worst ? worst : difference
      }
    }
    return worst
  }

  /// Directions that are never exact enough leave the work to LAPACK.
  @Test(arguments: shapes.indices)
  func theOtherWaySaysTheSame(_ shape: Int) throws {
    let (rows, columns) = Self.shapes[shape]
    let matrix = Sample(rows, columns, values: Self.spectra[3].values, seed: 5).matrix
    #expect(try DirectionRounds(matrix, vectors: 0, noise: 1e-14, size: 0, tolerance: 0) == nil)
    for count in [0, 9] {
      let one = try DenseSpectrum(of: matrix, vectors: count)
      let other = try DenseSpectrum(of: matrix, vectors: count, size: 0, tolerance: 0)
      #expect(other.vectors.rows == count && one.vectors.rows == count)
      for (a, b) in zip(one.values, other.values) { #expect(abs(a - b) <= 1e-12) }
      for i in 0..<count {
        let inner = zip(one.vectors.selecting(rows: [i]).elements, other.vectors.selecting(rows: [i]).elements)
          .reduce(0) { $0 + $1.0 * $1.1 }
        #expect(abs(abs(inner) - 1) <= 1e-9, "vector \(i)")
      }
    }
  }

  @Test(arguments: [(1, 1), (1, 50), (50, 1), (2, 3), (300, 7), (7, 300), (33, 32)])
  func anyShapeWillDo(_ rows: Int, _ columns: Int) throws {
    var noise = SplitMix64(seed: UInt64(rows * 1000 + columns))
    let matrix = Matrix(rows: rows, columns: columns, elements: noise.gaussians(rows * columns))
    let reference = Dense.singularValues(matrix.elements, rows: rows, columns: columns)
    let found = try DenseSpectrum(of: matrix, vectors: 1)
    #expect(found.values.count == min(rows, columns) && found.vectors.rows == 1)
    for (a, b) in zip(found.values, reference) { #expect(abs(a - b) <= 1e-12 * reference[0]) }
  }

  @Test func nothingHasNoVectors() throws {
    let found = try DenseSpectrum(of: Matrix(zeros: 5, 9), vectors: 3)
    #expect(found.values == [0, 0, 0, 0, 0] && found.vectors.rows == 0)
  }

  /// Terms that cancel leave rounding, which is told by the size of what they were.
  @Test func whatOnlyRoundingLeftIsZero() throws {
    let matrix = Sample(40, 50, values: [1, 1e-13, 1e-13, 1e-13], seed: 3).matrix
    #expect(try DenseSpectrum(of: matrix, vectors: 0).values[1] > 0)
    #expect(try DenseSpectrum(of: matrix, vectors: 0, size: 1000).values[1] == 0)
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity])
  func whatIsNotANumberIsRefused(_ bad: Double) throws {
    for place in [0, 7, 8, 59] {
      var elements = [Double](repeating: 1, count: 60)
      elements[place] = bad
      #expect(throws: LinearAlgebraError.self) {
        try DenseSpectrum(of: Matrix(rows: 6, columns: 10, elements: elements), vectors: 2)
      }
    }
  }

  @Test(arguments: [false, true])
  func kroneckerProductsAreTakenApart(_ isWide: Bool) throws {
    var noise = SplitMix64(seed: 11)
    let a = Matrix(rows: 3, columns: 4, elements: noise.gaussians(12))
    let thin = Matrix(rows: 6, columns: 2, elements: noise.gaussians(12))
    let b = thin * Matrix(rows: 2, columns: isWide ? 9 : 4, elements: noise.gaussians(isWide ? 18 : 8))
    var product = Matrix(zeros: a.rows * b.rows, a.columns * b.columns)
    for i in 0..<product.rows {
      for j in 0..<product.columns {
        product[i, j] = a[i / b.rows, j / b.columns] * b[i % b.rows, j % b.columns]
      }
    }
    try #require(isWide == (product.rows <= product.columns))
    let found = try DenseSpectrum(kronecker: a, b, vectors: 5, isWide: isWide)
    let dense = try DenseSpectrum(of: product, vectors: 5)
    let reference = Dense.singularValues(product.elements, rows: product.rows, columns: product.columns)
    #expect(found.values.count == min(product.rows, product.columns) && found.values.count { $0 > 0 } == 6)
    for (x, y) in zip(found.values, reference) { #expect(abs(x - y) <= 1e-12 * reference[0]) }
    let inners = found.vectors.timesTransposed(dense.vectors)
    for i in 0..<5 { #expect(abs(abs(inners[i, i]) - 1) <= 1e-9) }
  }
}
