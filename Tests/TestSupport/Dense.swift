import Platform

/// Matrices in plain row-major arrays, computed the slow and obvious way.
public enum Dense {
  /// A (rows × inner) times B (inner × columns).
  public static func product(_ a: [Double], _ b: [Double], rows: Int, inner: Int, columns: Int) -> [Double] {
    precondition(a.count == rows * inner && b.count == inner * columns, "extents do not fit")
    var result = [Double](repeating: 0, count: rows * columns)
    for i in 0..<rows {
      for k in 0..<inner {
        for j in 0..<columns { result[i * columns + j] += a[i * inner + k] * b[k * columns + j] }
      }
    }
    return result
  }

  public static func transposed(_ a: [Double], rows: Int, columns: Int) -> [Double] {
    (0..<columns).flatMap { j in (0..<rows).map { i in a[i * columns + j] } }
  }

  /// ‖a‖, of any array seen as one long vector.
  public static func norm(_ a: [Double]) -> Double {
    let largest = a.reduce(0) { max($0, abs($1)) }
    guard largest > 0, largest.isFinite else { return largest }
    return largest * a.reduce(0) { $0 + ($1 / largest) * ($1 / largest) }.squareRoot()
  }

  /// Singular values of A (rows × columns), descending, min(rows, columns) of them: one-sided Jacobi rotations,
  /// which find small singular values as accurately as large ones (Demmel and Veselić 1992).
  public static func singularValues(_ a: [Double], rows: Int, columns: Int) -> [Double] {
    guard rows >= columns else {
      return singularValues(transposed(a, rows: rows, columns: columns), rows: columns, columns: rows)
    }
    // Column j of A is row j here, so that rotations run over neighbours.
    var v = (0..<columns).map { j in (0..<rows).map { a[$0 * columns + j] } }
    var isRotating = true
    var sweeps = 0
    while isRotating, sweeps < 60 {
      (isRotating, sweeps) = (false, sweeps + 1)
      for p in 0..<columns {
        for q in 0..<p {
          let pp = zip(v[p], v[p]).reduce(0) { $0 + $1.0 * $1.1 }
          let qq = zip(v[q], v[q]).reduce(0) { $0 + $1.0 * $1.1 }
          let pq = zip(v[p], v[q]).reduce(0) { $0 + $1.0 * $1.1 }
          guard abs(pq) > 1e-15 * (pp * qq).squareRoot(), pq != 0 else { continue }
          isRotating = true
          let zeta = (qq - pp) / (2 * pq)
          let t = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
          let c = 1 / (1 + t * t).squareRoot()
          let s = c * t
          for i in 0..<rows {
            let x = v[p][i]
            let y = v[q][i]
            (v[p][i], v[q][i]) = (c * x - s * y, s * x + c * y)
          }
        }
      }
    }
    return v.map(norm).sorted(by: >)
  }
}

/// ‖a − b‖ ÷ ‖b‖, or ‖a‖ where b is zero; NaN when anything is, so write tests as `relativeDifference(…) <= limit`.
public func relativeDifference(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  guard a.allSatisfy(\.isFinite), b.allSatisfy(\.isFinite) else { return .nan }
  let difference = Dense.norm(zip(a, b).map { $0 - $1 })
  let size = Dense.norm(b)
  return size == 0 ? difference : difference / size
}
