/// The singular values of a dense matrix in double precision, and the leading of its singular vectors on the shorter side.
///
/// From inner products of the shorter side, which cost a third to a fifth of a singular value decomposition (LAPACK's takes over
/// where they do not do; see `DirectionRounds`). Values are off by no more than about 10⁻¹²·σ₁.
public struct DenseSpectrum: Sendable {
  /// Descending; as many as the shorter side is long. Those that only rounding has made are 0.
  public let values: [Double]
  /// Orthonormal rows: the leading left singular vectors of a matrix with no more rows than columns, the right ones of others.
  public let vectors: Matrix

  init(values: [Double], vectors: Matrix) { (self.values, self.vectors) = (values, vectors) }

  /// Of the matrix times a number.
  public func scaled(by factor: Double) -> DenseSpectrum {
    DenseSpectrum(values: values.map { $0 * factor.magnitude }, vectors: vectors)
  }

  /// By how much a value may be off, as a share of the largest.
  static let tolerance = 1e-12

  /// - Parameters:
  ///   - count: how many vectors are wanted; there are fewer where fewer values are not 0.
  ///   - size: of what the matrix was computed from, where that is larger than its largest value: rounding is relative to it.
  /// - Throws: `LinearAlgebraError` when an element is not finite or an iteration does not converge.
  public init(of matrix: Matrix, vectors count: Int, size: Double = 0) throws(LinearAlgebraError) {
    try self.init(of: matrix, vectors: count, size: size, tolerance: Self.tolerance)
  }

  init(of matrix: Matrix, vectors count: Int, size: Double, tolerance: Double) throws(LinearAlgebraError) {
    let order = min(matrix.rows, matrix.columns), largest = matrix.largestMagnitude
    guard largest.isFinite else { throw LinearAlgebraError(.notFinite) }
    guard largest > 0 else {
      (values, vectors) = (Array(repeating: 0, count: order), Matrix(zeros: 0, order))
      return
    }
    // Squares of very large and very small numbers are none.
    let exponent = Int(largest.exponent)
    let unit = exponent.magnitude > 200 ? Double(sign: .plus, exponent: exponent, significand: 1) : 1
    let scaled = unit == 1 ? matrix : (1 / unit) * matrix
    let noise = Double(max(matrix.rows, matrix.columns)) * 0x1p-53
    let found: (values: [Double], vectors: Matrix)
    if let rounds = try DirectionRounds(
      scaled, vectors: count, noise: noise, size: size / unit, tolerance: tolerance)
    {
      found = (rounds.values, try Self.joined(rounds.vectors, order: order))
    } else {
      found = try Self.decomposed(scaled, vectors: count, size: size / unit)
    }
    values = found.values.map { unit * $0 } + Array(repeating: 0, count: order - found.values.count)
    vectors = found.vectors
  }

  /// What is needed to build balanced factors of the leading `rank` components of the matrix D, for D = 1 · D with an identity as the
  /// `up` factor where the matrix has no more rows than columns, and for D = D · 1 otherwise.
  ///
  /// - Precondition: there are as many vectors, and those values are not 0.
  public func factorMaps(rank: Int, isWide: Bool) -> FactorMaps {
    let roots = values.prefix(rank).map { $0.squareRoot() }, inverses = roots.map { 1 / $0 }
    let leading = vectors.selecting(rows: 0..<rank)
    return FactorMaps(
      up: leading.scalingRows(by: isWide ? roots : inverses).transposed,
      down: leading.scalingRows(by: isWide ? inverses : roots))
  }

  /// Vectors of all rounds. What rounding has left of large values' directions in small ones' is taken out: beside such values it is not small.
  private static func joined(_ rounds: [Matrix], order: Int) throws(LinearAlgebraError) -> Matrix {
    var all = rounds.first ?? Matrix(zeros: 0, order)
    for var next in rounds.dropFirst() {
      for _ in 0..<2 { next.add(next.timesTransposed(all) * all, times: -1) }
      all = Matrix(stacking: [all, try next.orthonormalRows()])
    }
    return all
  }

  /// By LAPACK's decomposition of the matrix itself.
  private static func decomposed(
    _ matrix: Matrix, vectors count: Int, size: Double
  ) throws(LinearAlgebraError) -> ([Double], Matrix) {
    func known(_ values: [Double]) -> [Double] {
      Array(values.prefix(values.numericalRank(rows: matrix.rows, columns: matrix.columns, size: size)))
    }
    guard count > 0 else {
      return (known(try SingularValues.values(of: matrix)), Matrix(zeros: 0, min(matrix.rows, matrix.columns)))
    }
    let svd = try SingularValues(of: matrix), values = known(svd.values), kept = 0..<min(count, values.count)
    return (
      values,
      matrix.rows <= matrix.columns
        ? svd.u.selecting(columns: kept).transposed : svd.vt.selecting(rows: kept)
    )
  }
}

extension Matrix {
  /// The largest magnitude of an element; not finite where one is not.
  var largestMagnitude: Double {
    elements.withUnsafeBufferPointer { all in
      var sums = SIMD8<Double>(), largest = SIMD8<Double>(), index = 0
      while index + 8 <= all.count {
        let part = UnsafeRawPointer(all.baseAddress! + index).loadUnaligned(as: SIMD8<Double>.self)
        let sizes = part.replacing(with: -part, where: part .< 0)
        largest.replace(with: sizes, where: sizes .> largest)
        // NaN and infinity stay in what is nothing of a number.
        sums += part * 0
        index += 8
      }
      var result = largest.max(), rest = sums.sum()
      while index < all.count {
        result = max(result, all[index].magnitude)
        rest += all[index] * 0
        index += 1
      }
      return rest == 0 ? result : .nan
    }
  }
}
