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
    return gram.mirrored
  }

  /// The triangle of `x`, whose inner products are `gram`, by the fastest way that loses no accuracy.
  ///
  /// Working from inner products squares the condition number κ of the vectors (each scaled to length 1, which is what
  /// counts; van der Sluis 1969), so singular values get a relative error of about u·κ². Below κ ≈ 3·10³ that is under
  /// 10⁻⁸ and one Cholesky factorisation does. Up to κ ≈ 3·10⁶ a second one, of the vectors that the first has made
  /// nearly orthonormal, brings the error back to u·κ (CholeskyQR2; Yamamoto et al. 2015). Beyond, and for dependent
  /// vectors, Householder reflections are accurate whatever κ is.
  ///
  /// - Parameters:
  ///   - gram: the vectors' inner products.
  ///   - vectors: brings the vectors themselves, which are overwritten; only called where inner products do not do.
  static func factor(
    length: Int, gram: Matrix, _ layout: Layout, vectors: () -> UnsafeMutablePointer<Double>
  ) -> Matrix {
    let count = gram.rows
    let first = length >= count ? cholesky(gram) : nil
    if let first, first.reciprocalCondition > 1e-7 { return first.factor }
    let x = vectors()
    guard let first, first.reciprocalCondition > 1e-13 else {
      return byOrthogonalisation(x, layout, length: length, count: count)
    }
    let original = [Double](UnsafeBufferPointer(start: x, count: length * count))
    first.factor.elements.withUnsafeBufferPointer {
      BLAS.divide(x, byUpper: $0.baseAddress!, order: count, count: length, vectorsAreRows: layout == .rows)
    }
    let second = cholesky(Self.gram(x, layout, length: length, count: count))
    guard let second, second.reciprocalCondition > 1e-3 else {
      x.update(from: original, count: original.count)
      return byOrthogonalisation(x, layout, length: length, count: count)
    }
    return second.factor * first.factor
  }

  /// The upper Cholesky factor of inner products, with the estimated reciprocal condition of their correlations; `nil`
  /// when they are not positive definite.
  static func cholesky(_ gram: Matrix) -> (factor: Matrix, reciprocalCondition: Double)? {
    let count = gram.rows, order = Int32(count)
    let lengths = (0..<count).map { gram[$0, $0].squareRoot() }
    var factor = Matrix(zeros: count, count)
    for i in 0..<count { for j in i..<count { factor[i, j] = gram[i, j] / (lengths[i] * lengths[j]) } }
    let largest = (0..<count).map { i in (0..<count).reduce(0) { $0 + abs(factor[min(i, $1), max(i, $1)]) } }.max() ?? 0
    // Row-major upper is column-major lower.
    let lower = CChar(UInt8(ascii: "L"))
    guard LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, lower, order, &factor.elements, order) == 0 else { return nil }
    var work = [Double](repeating: 0, count: 3 * count), iwork = [Int32](repeating: 0, count: count)
    var reciprocal = 0.0
    LAPACKE_dpocon_work(LAPACK_COL_MAJOR, lower, order, &factor.elements, order, largest, &reciprocal, &work, &iwork)
    return (factor.scalingColumns(by: lengths), reciprocal)
  }

  /// The triangle by Householder reflections: accurate for any condition number, several times slower.
  ///
  /// - Parameter x: overwritten.
  static func byOrthogonalisation(
    _ x: UnsafeMutablePointer<Double>, _ layout: Layout, length: Int, count: Int
  ) -> Matrix {
    BLAS.prepare()
    let size = min(length, count)
    // LAPACK works on panels of up to 64 vectors.
    var reflectors = [Double](repeating: 0, count: size), work = [Double](repeating: 0, count: min(64, size) * count)
    let rows = Int32(layout == .rows ? length : count), columns = Int32(layout == .rows ? count : length)
    // In column-major eyes row-major rows are columns (QR), and row-major columns are rows (LQ).
    let info =
      layout == .rows
      ? LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, rows, columns, x, rows, &reflectors, &work, Int32(work.count))
      : LAPACKE_dgelqf_work(LAPACK_COL_MAJOR, rows, columns, x, rows, &reflectors, &work, Int32(work.count))
    precondition(info == 0, "Householder factorisation rejected argument \(-info)")
    var triangle = Matrix(zeros: size, count)
    for i in 0..<size {
      for j in i..<count { triangle[i, j] = layout == .rows ? x[j * length + i] : x[i * count + j] }
    }
    return triangle
  }
}
