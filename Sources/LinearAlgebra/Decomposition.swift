/// A singular value decomposition of a product up · diag(w) · down, written in terms of its factors.
public struct Decomposition: Sendable {
  /// Singular values, descending: min(m, n, number of non-zero components) of them.
  public let values: [Double]
  /// The singular vectors in the coordinates of the core (see `ProductCore.core`): columns of `u`, rows of `vt`.
  public let u: Matrix
  /// Right singular vectors as rows, in the coordinates of the core's columns.
  public let vt: Matrix
  /// up · upMap = U·Σ; components × values.
  let upMap: Matrix
  /// downMap · down = Σ·Vᵀ; values × components.
  let downMap: Matrix
  /// As `ProductCore.largestComponent(weights:)`.
  let largestComponent: Double

  /// ⟨D', uᵢ·vᵢᵀ⟩ for each singular pair, where `core` is the core of another product D' in the same coordinates.
  public func projections(of core: Matrix) -> [Double] {
    let image = u.transposedTimes(core)
    return values.indices.map { i in
      (0..<core.columns).reduce(0) { $0 + image[i, $1] * vt[i, $1] }
    }
  }

  /// What is needed to build balanced factors of the leading `rank` singular triples.
  ///
  /// - Precondition: those singular values are not zero.
  public func factorMaps(rank: Int) -> FactorMaps {
    let roots = values.prefix(rank).map { 1 / $0.squareRoot() }
    return FactorMaps(
      up: upMap.selecting(columns: 0..<rank).scalingColumns(by: roots),
      down: downMap.selecting(rows: 0..<rank).scalingRows(by: roots))
  }

  /// The number of singular values above the level where rounding alone makes them: max(m, n)·u times σ₁ or, where
  /// components cancel, the largest component.
  public func numericalRank(rows: Int, columns: Int) -> Int {
    values.numericalRank(rows: rows, columns: columns, size: largestComponent)
  }
}

extension [Double] {
  /// For descending singular values of an m × n matrix: how many are above max(m, n)·u·σ₁.
  ///
  /// - Parameter size: of what the matrix was computed from, where that is larger than σ₁.
  public func numericalRank(rows: Int, columns: Int, size: Double = 0) -> Int {
    guard let largest = first, largest > 0 else { return 0 }
    let level = Double(Swift.max(rows, columns)) * 0x1p-53 * Swift.max(largest, size)
    return prefix { $0 > level }.count
  }
}

/// Small matrices that turn the factors of a product into balanced factors of its best approximation:
/// `up · maps.up` = U_k·√Σ_k and `maps.down · down` = √Σ_k·V_kᵀ.
public struct FactorMaps: Sendable {
  /// Components × rank.
  public let up: Matrix
  /// Rank × components.
  public let down: Matrix

  /// How many triples the maps are for.
  public var rank: Int { up.columns }

  /// Bytes of memory that the maps take.
  public var byteCount: Int { 8 * (up.elements.count + down.elements.count) }

  /// The maps to the leading `rank` triples only.
  public func prefix(_ rank: Int) -> FactorMaps {
    rank == self.rank ? self : FactorMaps(up: up.selecting(columns: 0..<rank), down: down.selecting(rows: 0..<rank))
  }

  /// Maps to a product whose singular values are multiplied by the squares of `factors`.
  public func scaled(by factors: [Double]) -> FactorMaps {
    FactorMaps(up: up.scalingColumns(by: factors), down: down.scalingRows(by: factors))
  }

  /// `up` (m × components, row-major) times the map: m × rank.
  public func mapUp(_ factor: UnsafeBufferPointer<Double>, rows: Int, into target: UnsafeMutableBufferPointer<Double>) {
    precondition(factor.count == rows * up.rows && target.count == rows * rank, "a factor of \(rows) × \(up.rows)")
    guard !target.isEmpty else { return }
    up.elements.withUnsafeBufferPointer {
      BLAS.multiply(
        factor.baseAddress!, up.rows, transposed: false, $0.baseAddress!, rank, transposed: false, rows: rows,
        inner: up.rows, columns: rank, into: target.baseAddress!)
    }
  }

  /// The map times `down` (components × n, row-major): rank × n.
  public func mapDown(
    _ factor: UnsafeBufferPointer<Double>, columns: Int, into target: UnsafeMutableBufferPointer<Double>
  ) {
    mapDown(factor, columns: 0..<columns, into: target)
  }

  /// The map times some columns of `down` (components × part, row-major), as the same columns of a larger matrix.
  public func mapDown(
    _ factor: UnsafeBufferPointer<Double>, columns part: Range<Int>, into target: UnsafeMutableBufferPointer<Double>
  ) {
    let columns = rank > 0 ? target.count / rank : 0
    precondition(
      factor.count == down.columns * part.count && target.count == rank * columns
        && (rank == 0 || part.upperBound <= columns), "a factor of \(down.columns) × \(part.count)")
    guard !target.isEmpty, !part.isEmpty else { return }
    down.elements.withUnsafeBufferPointer {
      BLAS.multiply(
        $0.baseAddress!, down.columns, factor.baseAddress!, part.count, transposed: false, rows: rank,
        inner: down.columns, columns: part.count, into: target.baseAddress! + part.lowerBound, columns)
    }
  }
}
