import COpenBLAS
import Synchronization
import Tensors

/// The calls to OpenBLAS, in Swift's words. All matrices are row-major; a stride is the distance between rows.
///
/// One BLAS thread: Lathe works on many small matrices at once, and spreading one of them over cores costs more
/// in waiting than it gains.
enum BLAS {
  private static let single: Void = openblas_set_num_threads(1)

  /// Makes this process use one BLAS thread for each of its own threads.
  static func prepare() { _ = single }

  /// What OpenBLAS maps for each thread that multiplies, with room for the thread itself. It keeps it, and asks for ever where
  /// it gets none.
  private static let threadBytes = 136 << 20
  /// What is left for everything else.
  private static let otherBytes = 64 << 20
  private static let mapped = Mutex(0)

  /// How many of `threads` may multiply at the same time under the limit of addresses.
  ///
  /// - Throws: `LinearAlgebraError` (`addressSpace`) when not even one may.
  static func granted(_ threads: Int) throws(LinearAlgebraError) -> Int {
    prepare()
    guard let free = AddressSpace.free else { return threads }
    let granted = mapped.withLock { mapped in
      mapped = max(mapped, min(threads, mapped + max(0, free - otherBytes) / threadBytes))
      return min(threads, mapped)
    }
    guard granted > 0 else { throw LinearAlgebraError(.addressSpace(needed: threadBytes + otherBytes, free: free)) }
    return granted
  }

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

  /// X·op(R) (`count` rows of `order` numbers) or op(R)·X (`order` rows of `count`) for a triangle R whose upper half counts, in place.
  static func multiply(
    _ x: UnsafeMutablePointer<Double>, byUpper r: UnsafePointer<Double>, transposed: Bool, order: Int, count: Int,
    fromLeft: Bool
  ) {
    prepare()
    cblas_dtrmm(
      CblasRowMajor, fromLeft ? CblasLeft : CblasRight, CblasUpper, transposed ? CblasTrans : CblasNoTrans,
      CblasNonUnit, blasint(fromLeft ? order : count), blasint(fromLeft ? count : order), 1, r, blasint(order), x,
      blasint(fromLeft ? count : order))
  }

  /// Solves X·Rᵀ = A, `count` rows of `order` numbers, in place; of R the upper half counts.
  static func divide(
    _ a: UnsafeMutablePointer<Double>, byTransposedUpper r: UnsafePointer<Double>, order: Int, count: Int
  ) {
    prepare()
    cblas_dtrsm(
      CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, blasint(count), blasint(order), 1, r,
      blasint(order), a, blasint(order))
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

  /// C = `factor`·op(A)·op(B) + `old`·C with a stride of its own for C, so that it can be a part of a larger matrix.
  static func multiply(
    _ a: UnsafePointer<Double>, _ strideA: Int, _ b: UnsafePointer<Double>, _ strideB: Int, transposed transB: Bool,
    rows: Int, inner: Int, columns: Int, factor: Double = 1, addingTo old: Double = 0, transposingA: Bool = false,
    into c: UnsafeMutablePointer<Double>, _ strideC: Int
  ) {
    prepare()
    cblas_dgemm(
      CblasRowMajor, transposingA ? CblasTrans : CblasNoTrans, transB ? CblasTrans : CblasNoTrans, blasint(rows),
      blasint(columns), blasint(inner),
      factor, a, blasint(strideA), b, blasint(strideB), old, c, blasint(strideC))
  }

  /// C = `factor`·A·op(B) + `old`·C in single precision; all strides are those of whole matrices.
  static func multiply(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, transposed transB: Bool, rows: Int, inner: Int, columns: Int,
    factor: Float = 1, addingTo old: Float = 0, into c: UnsafeMutablePointer<Float>
  ) {
    prepare()
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, transB ? CblasTrans : CblasNoTrans, blasint(rows), blasint(columns), blasint(inner),
      factor, a, blasint(inner), b, blasint(transB ? inner : columns), old, c, blasint(columns))
  }

  /// Adds AᵀA (`transposed`) or AAᵀ to the upper half of C.
  static func addGram(
    _ a: UnsafePointer<Double>, stride: Int, transposed: Bool, order: Int, inner: Int,
    to c: UnsafeMutablePointer<Double>
  ) {
    prepare()
    cblas_dsyrk(
      CblasRowMajor, CblasUpper, transposed ? CblasTrans : CblasNoTrans, blasint(order), blasint(inner), 1, a,
      blasint(stride), 1, c, blasint(order))
  }
}
