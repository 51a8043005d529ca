import COpenBLAS

/// The eigenvalues of a symmetric matrix, and on demand the eigenvectors of the largest or smallest.
///
/// The matrix is brought to tridiagonal form once; all values then cost n² operations, and k vectors k·n² (MRRR;
/// Dhillon and Parlett 2004). That is several times less than all vectors where few are wanted.
struct SymmetricEigenvalues {
  /// Descending.
  let values: [Double]
  private let order: Int
  private let reflectors: [Double]
  private let factors: [Double]
  private let diagonal: [Double]
  private let offDiagonal: [Double]

  /// - Parameter upper: an `order` × `order` matrix whose upper half counts.
  /// - Throws: `LinearAlgebraError` when an element is not finite or the iteration does not converge.
  init(upper: consuming [Double], order: Int) throws(LinearAlgebraError) {
    precondition(order > 0 && upper.count == order * order, "a square matrix is needed")
    BLAS.prepare()
    for i in 0..<order {
      for j in i..<order where !upper[i * order + j].isFinite { throw LinearAlgebraError(.notFinite) }
    }
    var a = upper
    var d = [Double](repeating: 0, count: order), e = [Double](repeating: 0, count: order)
    var tau = [Double](repeating: 0, count: order), best = 0.0
    let n = Int32(order)
    LAPACKE_dsytrd_work(LAPACK_COL_MAJOR, Self.lower, n, &a, n, &d, &e, &tau, &best, -1)
    var work = [Double](repeating: 0, count: Int(best))
    var info = LAPACKE_dsytrd_work(
      LAPACK_COL_MAJOR, Self.lower, n, &a, n, &d, &e, &tau, &work, Int32(work.count))
    precondition(info == 0, "dsytrd rejected argument \(-info)")
    (self.order, reflectors, factors, diagonal, offDiagonal) = (order, a, tau, d, e)
    info = LAPACKE_dsterf_work(n, &d, &e)
    precondition(info >= 0, "dsterf rejected argument \(-info)")
    guard info == 0 else { throw LinearAlgebraError(.noConvergence) }
    values = d.reversed()
  }

  // Row-major upper is column-major lower.
  private static let lower = CChar(UInt8(ascii: "L"))

  /// Orthonormal eigenvectors of the `count` largest values, as rows: `count` × order.
  func leadingVectors(_ count: Int) throws(LinearAlgebraError) -> Matrix { try vectors(count, after: 0) }

  /// Orthonormal eigenvectors of the `count` smallest values, as rows, those of larger values first.
  func trailingVectors(_ count: Int) throws(LinearAlgebraError) -> Matrix { try vectors(count, after: order - count) }

  private func vectors(_ count: Int, after start: Int) throws(LinearAlgebraError) -> Matrix {
    precondition(start >= 0 && start + count <= order, "\(count) of \(order) vectors")
    guard count > 0 else { return Matrix(zeros: 0, order) }
    let n = Int32(order), k = Int32(count), last = Int32(order - start)
    var d = diagonal, e = offDiagonal
    var found: Int32 = 0, isAccurate: Int32 = 1
    var w = [Double](repeating: 0, count: order), vectors = [Double](repeating: 0, count: order * count)
    var support = [Int32](repeating: 0, count: 2 * count)
    var work = [Double](repeating: 0, count: 18 * order), iwork = [Int32](repeating: 0, count: 10 * order)
    var info = LAPACKE_dstemr_work(
      LAPACK_COL_MAJOR, CChar(UInt8(ascii: "V")), CChar(UInt8(ascii: "I")), n, &d, &e, 0, 0, last - k + 1, last, &found,
      &w,
      &vectors, n, k, &support, &isAccurate, &work, Int32(work.count), &iwork, Int32(iwork.count))
    precondition(info >= 0, "dstemr rejected argument \(-info)")
    guard info == 0, found == k else { throw LinearAlgebraError(.noConvergence) }
    var best = 0.0
    let left = CChar(UInt8(ascii: "L")), plain = CChar(UInt8(ascii: "N"))
    LAPACKE_dormtr_work(
      LAPACK_COL_MAJOR, left, Self.lower, plain, n, k, reflectors, n, factors, &vectors, n, &best, -1)
    work = [Double](repeating: 0, count: Int(best))
    info = LAPACKE_dormtr_work(
      LAPACK_COL_MAJOR, left, Self.lower, plain, n, k, reflectors, n, factors, &vectors, n, &work, Int32(work.count))
    precondition(info == 0, "dormtr rejected argument \(-info)")
    // LAPACK's columns are our rows, smallest value first.
    return Matrix(rows: count, columns: order, elements: vectors).selecting(rows: (0..<count).reversed())
  }
}
