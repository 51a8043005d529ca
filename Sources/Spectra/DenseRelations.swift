import LinearAlgebra

/// What deltas are to each other where one has no factors: from the matrices that they are.
struct DenseRelations: DeltaRelations {
  private let members: [Int: Member]
  private let zero: Matrix

  /// One adapter's delta.
  private struct Member {
    let matrix: Matrix
    let spectrum: DenseSpectrum
    let isWide: Bool

    /// How many directions it has.
    var rank: Int { spectrum.values.count { $0 > 0 } }
    /// Whether it reaches all that there is on its shorter side.
    var isFull: Bool { rank == spectrum.values.count }

    init(_ matrix: Matrix) throws {
      (self.matrix, isWide) = (matrix, matrix.rows <= matrix.columns)
      let values = try DenseSpectrum(of: matrix, vectors: 0), rank = values.values.count { $0 > 0 }
      spectrum = rank == values.values.count ? values : try DenseSpectrum(of: matrix, vectors: rank)
    }

    /// Orthonormal rows that span its space on the longer side.
    func longBasis() throws -> Matrix {
      let wide = isWide ? matrix : matrix.transposed
      return try (isFull ? wide : spectrum.vectors * wide).orthonormalRows()
    }
  }

  /// - Parameter deltas: of each adapter that has one.
  init(_ deltas: [Int: Matrix]) throws {
    members = try deltas.mapValues(Member.init)
    let any = deltas.first!.value
    zero = Matrix(zeros: any.rows, any.columns)
  }

  private func delta(_ s: Int) -> Matrix { members[s]?.matrix ?? zero }
  private func difference(_ s: Int, _ t: Int) -> Matrix {
    var difference = delta(s)
    difference.add(delta(t), times: -1)
    return difference
  }

  func inner(_ s: Int, _ t: Int) -> Double { delta(s).inner(delta(t)) }
  func norm(_ s: Int) -> Double { delta(s).frobeniusNorm }
  func distance(_ s: Int, _ t: Int) -> Double { difference(s, t).frobeniusNorm }
  func spectralNorm(_ s: Int) throws -> Double { members[s]?.spectrum.values.first ?? 0 }
  func spectralDistance(_ s: Int, _ t: Int) throws -> Double {
    guard members[s] != nil, members[t] != nil else { return max(try spectralNorm(s), try spectralNorm(t)) }
    return try DenseSpectrum(of: difference(s, t), vectors: 0).values.first ?? 0
  }

  // ‖AᵀB‖² = ⟨AAᵀ, BBᵀ⟩: of the two the one of smaller matrices.
  func sharedOutput(_ s: Int, _ t: Int) -> Double {
    let (a, b) = (delta(s), delta(t))
    return a.rows <= a.columns
      ? a.timesTransposed(a).inner(b.timesTransposed(b)) : a.transposedTimes(b).inner(a.transposedTimes(b))
  }
  func sharedInput(_ s: Int, _ t: Int) -> Double {
    let (a, b) = (delta(s), delta(t))
    return a.rows <= a.columns
      ? a.timesTransposed(b).inner(a.timesTransposed(b)) : a.transposedTimes(a).inner(b.transposedTimes(b))
  }

  func outputCosines(_ s: Int, _ t: Int) throws -> [Double] {
    try cosines(members[s]!, members[t]!, onShorterSide: members[s]!.isWide)
  }
  func inputCosines(_ s: Int, _ t: Int) throws -> [Double] {
    try cosines(members[s]!, members[t]!, onShorterSide: !members[s]!.isWide)
  }

  private func cosines(_ a: Member, _ b: Member, onShorterSide isShort: Bool) throws -> [Double] {
    let count = min(a.rank, b.rank), isSquare = a.matrix.rows == a.matrix.columns
    guard count > 0 else { return [] }
    // What reaches everything holds whatever else there is.
    if isShort || isSquare, a.isFull || b.isFull { return Array(repeating: 1, count: count) }
    let products =
      isShort
      ? a.spectrum.vectors.timesTransposed(b.spectrum.vectors) : try a.longBasis().timesTransposed(b.longBasis())
    return try DenseSpectrum(of: products, vectors: 0).values.prefix(count).map { min($0, 1) }
  }
}
