import TestSupport

/// A dense singular value decomposition in double precision by one-sided Jacobi rotations: the slow and obvious way to
/// the best approximation of each rank.
struct DenseTruncation {
  /// Descending.
  let values: [Double]
  /// σᵢ·uᵢ and vᵢ.
  private let left: [[Double]]
  private let right: [[Double]]

  init(_ a: [Double], rows: Int, columns: Int) {
    // Columns of A are rotated until they are orthogonal: A·V = U·Σ.
    var image = (0..<columns).map { j in (0..<rows).map { a[$0 * columns + j] } }
    var v = (0..<columns).map { j in (0..<columns).map { $0 == j ? 1.0 : 0 } }
    func rotate(_ x: inout [[Double]], _ p: Int, _ q: Int, _ c: Double, _ s: Double) {
      for i in x[p].indices { (x[p][i], x[q][i]) = (c * x[p][i] - s * x[q][i], s * x[p][i] + c * x[q][i]) }
    }
    for _ in 0..<60 {
      var isDone = true
      for p in 0..<columns {
        for q in 0..<p {
          let pp = inner(image[p], image[p]), qq = inner(image[q], image[q]), pq = inner(image[p], image[q])
          guard abs(pq) > 1e-15 * (pp * qq).squareRoot(), pq != 0 else { continue }
          isDone = false
          let zeta = (qq - pp) / (2 * pq)
          let t = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot()), c = 1 / (1 + t * t).squareRoot()
          rotate(&image, p, q, c, c * t)
          rotate(&v, p, q, c, c * t)
        }
      }
      if isDone { break }
    }
    let lengths = image.map { inner($0, $0).squareRoot() }
    let order = lengths.indices.sorted { lengths[$0] > lengths[$1] }
    (values, left, right) = (order.map { lengths[$0] }, order.map { image[$0] }, order.map { v[$0] })
  }

  /// The best approximation of the given rank, row-major.
  func approximation(rank: Int) -> [Double] {
    let kept = values.indices.prefix(rank)
    return (left.first ?? []).indices.flatMap { row in
      (right.first ?? []).indices.map { column in kept.reduce(0) { $0 + left[$1][row] * right[$1][column] } }
    }
  }
}
