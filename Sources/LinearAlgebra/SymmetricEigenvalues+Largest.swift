import COpenBLAS

extension SymmetricEigenvalues {
  /// The largest eigenvalue of an operator that is symmetric and has no negative ones, from its products with vectors alone.
  ///
  /// Lanczos's iteration without orthogonalising anew: what it forgets makes more copies of values that it has found, and
  /// the largest is as exact as with all of them (Paige 1980). It starts with random signs, the same for equal orders.
  ///
  /// - Parameter applied: the operator times a vector of `order` numbers.
  /// - Returns: a value that is off by less than 10⁻¹² of itself.
  /// - Throws: `LinearAlgebraError` when a number is not finite, or the iteration does not converge.
  static func largest(order: Int, applied: ([Double]) -> [Double]) throws(LinearAlgebraError) -> Double {
    precondition(order > 0, "an operator on nothing")
    BLAS.prepare()
    let size = Int32(order), length = Double(order).squareRoot()
    var previous = [Double](repeating: 0, count: order), diagonal: [Double] = [], offDiagonal: [Double] = []
    var vector = BlockKrylov.signs(order, seed: UInt64(order)).map { $0 / length }
    while diagonal.count < 10 * order + 100 {
      var next = applied(vector)
      cblas_daxpy(size, -(offDiagonal.last ?? 0), previous, 1, &next, 1)
      let projection = cblas_ddot(size, next, 1, vector, 1)
      cblas_daxpy(size, -projection, vector, 1, &next, 1)
      let rest = BLAS.norm(next)
      guard rest.isFinite else { throw LinearAlgebraError(.notFinite) }
      diagonal.append(projection)
      if diagonal.count % 8 == 0 || diagonal.count <= 8 || rest == 0 {
        let (value, last) = try leading(diagonal: diagonal, offDiagonal: offDiagonal)
        if rest * last.magnitude <= 1e-12 * value || rest == 0 { return value }
      }
      offDiagonal.append(rest)
      (previous, vector) = (vector, next.map { $0 / rest })
    }
    throw LinearAlgebraError(.noConvergence)
  }

  /// The largest eigenvalue of a tridiagonal matrix, and the last number of its unit eigenvector.
  private static func leading(
    diagonal: [Double], offDiagonal: [Double]
  ) throws(LinearAlgebraError) -> (value: Double, last: Double) {
    let order = diagonal.count, n = Int32(order)
    var d = diagonal, e = offDiagonal + [0], found: Int32 = 0, isAccurate: Int32 = 1
    var w = [Double](repeating: 0, count: order), vector = w, support: [Int32] = [0, 0]
    var work = [Double](repeating: 0, count: 18 * order), iwork = [Int32](repeating: 0, count: 10 * order)
    let info = LAPACKE_dstemr_work(
      LAPACK_COL_MAJOR, CChar(UInt8(ascii: "V")), CChar(UInt8(ascii: "I")), n, &d, &e, 0, 0, n, n, &found, &w, &vector,
      n, 1, &support, &isAccurate, &work, Int32(work.count), &iwork, Int32(iwork.count))
    precondition(info >= 0, "dstemr rejected argument \(-info)")
    guard info == 0, found == 1 else { throw LinearAlgebraError(.noConvergence) }
    return (w[0], vector[order - 1])
  }
}
