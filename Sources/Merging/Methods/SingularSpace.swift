import LinearAlgebra

/// A delta's singular triples from its factors, without those that only rounding made.
struct SingularSpace {
  /// Left singular vectors as columns: rows × count.
  let u: Matrix
  /// Descending.
  let values: [Double]
  /// Right singular vectors as rows: count × columns.
  let vt: Matrix

  /// - Parameters:
  ///   - up: rows × r.
  ///   - down: r × columns.
  init(up: Matrix, down: Matrix) throws {
    let right = try SingularValues(of: down)
    let left = try SingularValues(of: (up * right.u).scalingColumns(by: right.values))
    let count = left.values.numericalRank(rows: up.rows, columns: down.columns)
    u = left.u.selecting(columns: 0..<count)
    values = Array(left.values.prefix(count))
    vt = left.vt.selecting(rows: 0..<count) * right.vt
  }
}

extension Matrix {
  /// The matrices side by side.
  ///
  /// - Precondition: there is one, and all have the same number of rows.
  init(joining matrices: [Matrix]) { self = Matrix(stacking: matrices.map(\.transposed)).transposed }

  /// An orthonormal basis of the columns' space, as columns.
  func basis() throws -> Matrix {
    let svd = try SingularValues(of: self)
    return svd.u.selecting(columns: 0..<svd.values.numericalRank(rows: rows, columns: columns))
  }
}
