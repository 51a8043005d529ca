/// Kronecker products Aₜ ⊗ Bₜ of equal shapes: norms of their weighted sums, without forming one.
///
/// Σ wₜ·Aₜ ⊗ Bₜ has the numbers of Σ wₜ·vec(Aₜ)·vec(Bₜ)ᵀ in another order (Van Loan and Pitsianis 1993). Norms and inner
/// products are therefore those of a product with one component for each term.
public struct KroneckerProducts: Sendable {
  private let shapes: (first: (rows: Int, columns: Int), second: (rows: Int, columns: Int))
  /// The first matrices and the second ones, one in each row.
  private let rows: (first: Matrix, second: Matrix)
  private let product: ProductCore

  /// - Precondition: there is a term, and the matrices are of equal shapes.
  /// - Throws: `LinearAlgebraError` (`notFinite`) when a matrix holds NaN or infinity.
  public init(_ terms: [(first: Matrix, second: Matrix)]) throws(LinearAlgebraError) {
    let (first, second) = terms[0], count = terms.count
    precondition(
      terms.allSatisfy { ($0.first.rows, $0.second.rows) == (first.rows, second.rows) }, "terms of unequal shapes")
    shapes = ((first.rows, first.columns), (second.rows, second.columns))
    rows = (
      Matrix(rows: count, columns: first.elements.count, elements: terms.flatMap(\.first.elements)),
      Matrix(rows: count, columns: second.elements.count, elements: terms.flatMap(\.second.elements))
    )
    var up = rows.first.transposed.elements, down = rows.second.elements
    let (m, n) = (rows.first.columns, rows.second.columns)
    product = try up.withUnsafeMutableBufferPointer { up throws(LinearAlgebraError) in
      try down.withUnsafeMutableBufferPointer { down throws(LinearAlgebraError) in
        try ProductCore(up: up, down: down, rows: m, columns: n, rank: count)
      }
    }
  }

  /// A small matrix with the norm of Σ wₜ·Aₜ ⊗ Bₜ, and with its inner products with other weights. Its singular values are
  /// others.
  public func core(weights: [Double]) -> Matrix { product.core(weights: weights) }

  /// σ₁ of Σ wₜ·Aₜ ⊗ Bₜ, to about 10⁻¹² of itself.
  ///
  /// - Throws: `LinearAlgebraError` where an iteration does not converge.
  public func spectralNorm(weights: [Double]) throws(LinearAlgebraError) -> Double {
    // Terms that are orthogonal to each other: what cancels between the given ones has done so before they are used.
    let parts = try product.decomposed(weights: weights)
    guard let largest = parts.values.first, largest > 0 else { return 0 }
    let maps = parts.factorMaps(rank: parts.values.prefix { $0 > largest * 1e-15 }.count)
    let first = maps.up.transposedTimes(rows.first), second = maps.down * rows.second
    let terms = (0..<maps.rank).map {
      (Self.matrix(first, $0, shapes.first), Self.matrix((1 / largest) * second, $0, shapes.second))
    }
    guard terms.count > 1 else {
      return try largest * SingularValues.values(of: terms[0].0)[0] * SingularValues.values(of: terms[0].1)[0]
    }
    // On the shorter side D·Dᵀ or Dᵀ·D; both have σ₁² for their largest value.
    let outputs = shapes.first.rows * shapes.second.rows, inputs = shapes.first.columns * shapes.second.columns
    let square = try SymmetricEigenvalues.largest(order: min(outputs, inputs)) {
      outputs < inputs
        ? product(terms, transposedProduct(terms, $0)) : transposedProduct(terms, product(terms, $0))
    }
    return largest * square.squareRoot()
  }

  /// D·x: the numbers of Σ A·X·Bᵀ, where X has those of x.
  private func product(_ terms: [(Matrix, Matrix)], _ x: [Double]) -> [Double] {
    let x = Matrix(rows: shapes.first.columns, columns: shapes.second.columns, elements: x)
    let parts = terms.map { ($0 * x).timesTransposed($1) }
    return parts.dropFirst().reduce(parts[0], +).elements
  }

  /// Dᵀ·y: the numbers of Σ Aᵀ·Y·B.
  private func transposedProduct(_ terms: [(Matrix, Matrix)], _ y: [Double]) -> [Double] {
    let y = Matrix(rows: shapes.first.rows, columns: shapes.second.rows, elements: y)
    let parts = terms.map { $0.transposedTimes(y) * $1 }
    return parts.dropFirst().reduce(parts[0], +).elements
  }

  private static func matrix(_ rows: Matrix, _ row: Int, _ shape: (rows: Int, columns: Int)) -> Matrix {
    Matrix(rows: shape.rows, columns: shape.columns, elements: rows.selecting(rows: [row]).elements)
  }
}
