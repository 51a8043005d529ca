extension Matrix {
  /// Orthonormal rows that span what these rows span, as many as these.
  ///
  /// - Precondition: the rows are independent, and no longer than there is room for that.
  /// - Throws: `LinearAlgebraError` when an element is not finite or an iteration does not converge.
  public func orthonormalRows() throws(LinearAlgebraError) -> Matrix {
    precondition(rows <= columns, "\(rows) rows of \(columns) numbers depend on each other")
    guard rows > 0 else { return self }
    // Twice, by inner products: as good as reflections where the first time is good enough (see `Triangle`).
    var result = self
    for smallest in [1e-13, 1e-3] {
      let gram = result.elements.withUnsafeBufferPointer {
        Triangle.gram($0.baseAddress!, .rows, length: columns, count: rows)
      }
      guard let (factor, condition) = Triangle.cholesky(gram), condition > smallest else {
        return try SingularValues(of: self).vt
      }
      result.elements.withUnsafeMutableBufferPointer { x in
        factor.elements.withUnsafeBufferPointer {
          BLAS.divide(x.baseAddress!, byUpper: $0.baseAddress!, order: rows, count: columns, vectorsAreRows: true)
        }
      }
    }
    return result
  }
}
