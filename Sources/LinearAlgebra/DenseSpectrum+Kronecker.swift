extension DenseSpectrum {
  /// Of A ⊗ B, whose singular triples are the products of those of A and B: every pair of them.
  ///
  /// - Parameters:
  ///   - count: how many vectors are wanted.
  ///   - isWide: whether they are left ones.
  /// - Throws: `LinearAlgebraError` when an element is not finite or an iteration does not converge.
  public init(
    kronecker a: Matrix, _ b: Matrix, vectors count: Int, isWide: Bool
  ) throws(LinearAlgebraError) {
    let first = try Half(a, hasVectors: count > 0, isWide: isWide)
    let second = try Half(b, hasVectors: count > 0, isWide: isWide)
    // Equal values stay in the order of the pairs.
    let pairs = first.values.indices.flatMap { i in second.values.indices.map { j in (i, j) } }
      .map { (value: first.values[$0] * second.values[$1], pair: ($0, $1)) }
      .sorted { ($0.value, $1.pair.0, $1.pair.1) > ($1.value, $0.pair.0, $0.pair.1) }
    let order = min(a.rows * b.rows, a.columns * b.columns)
    values =
      pairs.prefix(order).map(\.value) + Array(repeating: 0, count: max(0, order - pairs.count))
    let kept = pairs.prefix(min(count, values.count { $0 > 0 })).map(\.pair)
    let length = isWide ? a.rows * b.rows : a.columns * b.columns
    vectors = Matrix(
      rows: kept.count, columns: length,
      elements: kept.flatMap { i, j -> [Double] in
        let y = second.vectors.selecting(rows: [j]).elements
        return first.vectors.selecting(rows: [i]).elements.flatMap { x in y.map { x * $0 } }
      })
  }

  /// Triples of one of the matrices, without values that only rounding has made.
  private struct Half {
    let values: [Double]
    /// As rows.
    let vectors: Matrix

    init(_ matrix: Matrix, hasVectors: Bool, isWide: Bool) throws(LinearAlgebraError) {
      guard hasVectors else {
        let values = try SingularValues.values(of: matrix)
        self.values = Array(values.prefix(values.numericalRank(rows: matrix.rows, columns: matrix.columns)))
        vectors = Matrix(zeros: 0, 0)
        return
      }
      let svd = try SingularValues(of: matrix)
      values = Array(svd.values.prefix(svd.values.numericalRank(rows: matrix.rows, columns: matrix.columns)))
      vectors = isWide ? svd.u.transposed : svd.vt
    }
  }
}
