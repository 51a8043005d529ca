import COpenBLAS

/// The triangular factor of many long vectors, without their orthogonal factor.
///
/// For vectors x₁…x_r, each of length n, the triangle R (p × r, p ≤ r) satisfies ⟨xᵢ, xⱼ⟩ = (RᵀR)ᵢⱼ. It carries all
/// that singular values need, and it is small.
enum Triangle {
  /// How the vectors lie in memory.
  enum Layout {
    /// n × r: vector j is column j of a row-major matrix.
    case columns
    /// r × n: vector i is row i of a row-major matrix.
    case rows
  }

  /// All inner products ⟨xᵢ, xⱼ⟩, r × r, symmetric.
  static func gram(_ x: UnsafePointer<Double>, _ layout: Layout, length: Int, count: Int) -> Matrix {
    var gram = Matrix(zeros: count, count)
    gram.elements.withUnsafeMutableBufferPointer {
      BLAS.gram(
        x, stride: layout == .columns ? count : length, transposed: layout == .columns, order: count, inner: length,
        into: $0.baseAddress!)
    }
    for i in 0..<count { for j in 0..<i { gram[i, j] = gram[j, i] } }
    return gram
  }

  /// The triangle by Cholesky factorisation of the inner products, or `nil` where that would lose accuracy.
  ///
  /// Working from inner products squares the condition number κ of the vectors, so singular values get a relative
  /// error of about u·κ². Scaling every vector to length 1 beforehand does not change the factor's accuracy but
  /// shows the κ that counts (van der Sluis 1969). Where its LAPACK estimate is above 3·10³ the caller must use
  /// `byOrthogonalisation`; below it the error stays under 10⁻⁸.
  static func byCholesky(gram: Matrix) -> Matrix? {
    let count = gram.rows
    let lengths = (0..<count).map { gram[$0, $0].squareRoot() }
    var factor = Matrix(zeros: count, count)
    for i in 0..<count { for j in i..<count { factor[i, j] = gram[i, j] / (lengths[i] * lengths[j]) } }
    let order = Int32(count)
    let largest = (0..<count).map { i in (0..<count).reduce(0) { $0 + abs(factor[min(i, $1), max(i, $1)]) } }.max() ?? 0
    // Row-major upper is column-major lower.
    guard LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, CChar(UInt8(ascii: "L")), order, &factor.elements, order) == 0 else { return nil }
    var work = [Double](repeating: 0, count: 3 * count), iwork = [Int32](repeating: 0, count: count)
    var reciprocalCondition = 0.0
    LAPACKE_dpocon_work(
      LAPACK_COL_MAJOR, CChar(UInt8(ascii: "L")), order, &factor.elements, order, largest, &reciprocalCondition, &work, &iwork)
    guard reciprocalCondition > 1e-7 else { return nil }
    return factor.scalingColumns(by: lengths)
  }

  /// The triangle by Householder reflections: accurate for any condition number, several times slower.
  ///
  /// - Parameter x: overwritten.
  static func byOrthogonalisation(
    _ x: UnsafeMutablePointer<Double>, _ layout: Layout, length: Int, count: Int
  ) -> Matrix {
    BLAS.prepare()
    let size = min(length, count)
    var reflectors = [Double](repeating: 0, count: size)
    let rows = Int32(layout == .rows ? length : count), columns = Int32(layout == .rows ? count : length)
    // In column-major eyes row-major rows are columns (QR), and row-major columns are rows (LQ).
    let info =
      layout == .rows
      ? LAPACKE_dgeqrf(LAPACK_COL_MAJOR, rows, columns, x, rows, &reflectors)
      : LAPACKE_dgelqf(LAPACK_COL_MAJOR, rows, columns, x, rows, &reflectors)
    precondition(info == 0, "Householder factorisation rejected argument \(-info)")
    var triangle = Matrix(zeros: size, count)
    for i in 0..<size {
      for j in i..<count { triangle[i, j] = layout == .rows ? x[j * length + i] : x[i * count + j] }
    }
    return triangle
  }
}
