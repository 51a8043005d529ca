import COpenBLAS

/// The calls to OpenBLAS, in Swift's words. All matrices are row-major; a stride is the distance between rows.
///
/// One BLAS thread: Lathe works on many small matrices at once, and spreading one of them over cores costs more
/// in waiting than it gains.
enum BLAS {
  private static let single: Void = openblas_set_num_threads(1)

  /// Makes this process use one BLAS thread for each of its own threads.
  static func prepare() { _ = single }

  static func norm(_ x: [Double]) -> Double {
    x.withUnsafeBufferPointer { cblas_dnrm2(blasint($0.count), $0.baseAddress, 1) }
  }

  /// C = op(A)·op(B), `rows` × `columns`, with `inner` terms to each sum.
  static func multiply(
    _ a: UnsafePointer<Double>, _ strideA: Int, transposed transA: Bool,
    _ b: UnsafePointer<Double>, _ strideB: Int, transposed transB: Bool,
    rows: Int, inner: Int, columns: Int, into c: UnsafeMutablePointer<Double>
  ) {
    prepare()
    cblas_dgemm(
      CblasRowMajor, transA ? CblasTrans : CblasNoTrans, transB ? CblasTrans : CblasNoTrans,
      blasint(rows), blasint(columns), blasint(inner), 1, a, blasint(strideA), b, blasint(strideB), 0, c,
      blasint(columns))
  }

  /// Solves for X in X·R = A (vectors as the columns of A, `count` × `order`) or Rᵀ·X = A (vectors as its rows), in place.
  static func divide(
    _ a: UnsafeMutablePointer<Double>, byUpper r: UnsafePointer<Double>, order: Int, count: Int, vectorsAreRows: Bool
  ) {
    prepare()
    if vectorsAreRows {
      cblas_dtrsm(
        CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, blasint(order), blasint(count), 1, r,
        blasint(order), a, blasint(count))
    } else {
      cblas_dtrsm(
        CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, blasint(count), blasint(order), 1, r,
        blasint(order), a, blasint(order))
    }
  }

  /// The upper half of AᵀA (`transposed`) or AAᵀ, an `order` × `order` matrix with `inner` terms to each sum.
  static func gram(
    _ a: UnsafePointer<Double>, stride: Int, transposed: Bool, order: Int, inner: Int,
    into c: UnsafeMutablePointer<Double>
  ) {
    prepare()
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, transposed ? CblasTrans : CblasNoTrans, blasint(order), blasint(inner), 1, a,
      blasint(stride), 0, c, blasint(order))
  }
}
