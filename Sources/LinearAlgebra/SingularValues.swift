import COpenBLAS

/// A thin singular value decomposition A = U·diag(σ)·Vᵀ, with σ descending.
public struct SingularValues: Sendable {
  /// Rows of A × count.
  public let u: Matrix
  /// σ, descending: the smaller of A's rows and columns is their number.
  public let values: [Double]
  /// Count × columns of A.
  public let vt: Matrix

  /// Decomposes `matrix` by divide and conquer (LAPACK dgesdd). Cost about 22·n³ operations for n × n.
  ///
  /// - Throws: `LinearAlgebraError` when an element is not finite or the iteration does not converge.
  public init(of matrix: Matrix) throws(LinearAlgebraError) {
    let count = min(matrix.rows, matrix.columns)
    guard count > 0 else {
      (u, values, vt) = (Matrix(zeros: matrix.rows, 0), [], Matrix(zeros: 0, matrix.columns))
      return
    }
    var left = Matrix(zeros: matrix.rows, count), right = Matrix(zeros: count, matrix.columns)
    var sigma = [Double](repeating: 0, count: count)
    // Row-major A is column-major Aᵀ = V·Σ·Uᵀ, so LAPACK's left vectors are the rows of our Vᵀ and the reverse.
    try Self.decompose(matrix, vectors: "S", sigma: &sigma, left: &right.elements, right: &left.elements)
    (u, values, vt) = (left, sigma, right)
  }

  /// Only the singular values, descending.
  public static func values(of matrix: Matrix) throws(LinearAlgebraError) -> [Double] {
    var sigma = [Double](repeating: 0, count: min(matrix.rows, matrix.columns))
    guard !sigma.isEmpty else { return [] }
    var unused = [0.0], unusedToo = [0.0]
    try decompose(matrix, vectors: "N", sigma: &sigma, left: &unused, right: &unusedToo)
    return sigma
  }

  private static func decompose(
    _ matrix: Matrix, vectors: Character, sigma: inout [Double], left: inout [Double], right: inout [Double]
  ) throws(LinearAlgebraError) {
    BLAS.prepare()
    // dgesdd can loop for ever on NaN, so look first.
    guard matrix.elements.allSatisfy(\.isFinite) else { throw LinearAlgebraError(.notFinite) }
    let m = Int32(matrix.columns), n = Int32(matrix.rows), count = Int32(sigma.count)
    let job = CChar(vectors.asciiValue!)
    var a = matrix.elements
    var iwork = [Int32](repeating: 0, count: 8 * sigma.count)
    var best = 0.0
    LAPACKE_dgesdd_work(
      LAPACK_COL_MAJOR, job, m, n, &a, m, &sigma, &left, m, &right, count, &best, -1, &iwork)
    var work = [Double](repeating: 0, count: Int(best))
    let info = LAPACKE_dgesdd_work(
      LAPACK_COL_MAJOR, job, m, n, &a, m, &sigma, &left, m, &right, count, &work, Int32(work.count), &iwork)
    precondition(info >= 0, "dgesdd rejected argument \(-info)")
    guard info == 0 else { throw LinearAlgebraError(.noConvergence) }
  }
}
