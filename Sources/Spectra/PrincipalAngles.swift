import LinearAlgebra

/// Angles between the spaces that two sets of vectors span.
enum PrincipalAngles {
  /// Their cosines, largest first: the singular values of Q₁ᵀQ₂ for orthonormal bases of both (Björck and Golub 1973).
  ///
  /// - Parameters: vectors as columns, in coordinates of one orthonormal basis.
  static func cosines(_ a: Matrix, _ b: Matrix) throws -> [Double] {
    let (first, second) = (try basis(of: a), try basis(of: b))
    return try SingularValues.values(of: first.transposedTimes(second)).map { min($0, 1) }
  }

  private static func basis(of vectors: Matrix) throws -> Matrix {
    let svd = try SingularValues(of: vectors)
    let rank = svd.values.numericalRank(rows: vectors.rows, columns: vectors.columns)
    return svd.u.selecting(columns: 0..<rank)
  }
}
