/// Singular values of a dense matrix from inner products of its shorter side, found in rounds, each of which sees further down.
///
/// Inner products square the condition: their rounding changes σ² by δ ≈ 2⁻⁵¹·σ₁², and σ by δ ÷ 2σ. So only values down to
/// σ₁ ÷ 256 are taken from them. What the matrix does in the directions of smaller ones is a matrix of its own, computed from the
/// matrix and not from the products, and gives the next values in the same way.
///
/// That is as exact as the directions are, and how exact they are is measured. With B what was taken out, C the rest and
/// E = C·Bᵀ (which is zero for exact directions), an eigenvalue σ² of the rest is off by ‖E‖ at most, and by ‖E‖² ÷ gap where there
/// is a gap (Li and Li, "A note on eigenvalues of perturbed Hermitian matrices", 2005). So ‖E‖ ≤ 10⁻¹²·σ₁·σ_k, with the smallest
/// value σ_k that was taken out, keeps every value within about 10⁻¹²·σ₁.
struct DirectionRounds {
  /// Descending, without those that only rounding has made.
  private(set) var values: [Double] = []
  /// Orthonormal rows: the leading singular vectors of the shorter side, a matrix for each round that gave some.
  private(set) var vectors: [Matrix] = []

  /// The smallest value taken from inner products, as a share of the largest there.
  private static let reach = 0x1p-8

  /// - Parameters:
  ///   - count: how many vectors are wanted.
  ///   - noise: what rounding makes of a zero, as a share of the largest value, or of `size` where that is larger.
  ///   - tolerance: by how much a value may be off, as a share of the largest.
  /// - Returns: `nil` where directions are not exact enough.
  init?(
    _ matrix: Matrix, vectors count: Int, noise share: Double, size: Double, tolerance: Double
  ) throws(LinearAlgebraError) {
    let order = min(matrix.rows, matrix.columns)
    var rest = Side(matrix: matrix, isWide: matrix.rows <= matrix.columns)
    // The directions that the rest is in; all of them where `nil`.
    var basis: Matrix?
    var first = 0.0, noise = 0.0
    while values.count < order {
      // Even if all of it were in one direction.
      if !values.isEmpty, rest.matrix.frobeniusNorm <= noise { return }
      let eigen = try SymmetricEigenvalues(upper: rest.products, order: rest.order)
      let found = eigen.values.map { max(0, $0).squareRoot() }
      if values.isEmpty { (first, noise) = (found[0], share * max(found[0], size)) }
      let limit = max(noise, Self.reach * found[0])
      let good = min(found.prefix { $0 > limit }.count, order - values.count)
      let wanted = min(max(0, count - values.count), good)
      let ceiling = values.last ?? first
      values += found.prefix(good).map { min($0, ceiling) }
      let isLast = values.count == order || good == 0 || limit == noise
      // Few directions are cheaper to take out than many others are to keep.
      let takesOut = !isLast && 3 * good <= rest.order
      let leading = try eigen.leadingVectors(takesOut ? good : wanted)
      if wanted > 0 {
        let own = leading.selecting(rows: 0..<wanted)
        vectors.append(basis.map { own * $0 } ?? own)
      }
      if isLast { return }
      let coupling: Matrix
      if takesOut {
        coupling = rest.takeOut(leading)
      } else {
        let trailing = try eigen.trailingVectors(rest.order - good)
        coupling = rest.keepOnly(trailing)
        basis = basis.map { trailing * $0 } ?? trailing
      }
      guard coupling.frobeniusNorm <= tolerance * first * values.last! else { return nil }
    }
  }

  /// A matrix, seen from its shorter side.
  private struct Side {
    private(set) var matrix: Matrix
    /// Whether the shorter side is that of the rows.
    let isWide: Bool

    init(matrix: Matrix, isWide: Bool) { (self.matrix, self.isWide) = (matrix, isWide) }

    var order: Int { isWide ? matrix.rows : matrix.columns }

    /// Of the shorter side's vectors, of which the upper half counts.
    var products: [Double] {
      let (order, length) = (order, isWide ? matrix.columns : matrix.rows)
      var products = [Double](repeating: 0, count: order * order)
      matrix.elements.withUnsafeBufferPointer { source in
        products.withUnsafeMutableBufferPointer {
          BLAS.gram(
            source.baseAddress!, stride: matrix.columns, transposed: !isWide, order: order, inner: length,
            into: $0.baseAddress!)
        }
      }
      return products
    }

    /// The matrix in some directions.
    private func image(_ directions: Matrix) -> Matrix {
      isWide ? directions * matrix : matrix.timesTransposed(directions)
    }

    /// Inner products of the shorter side's vectors with those of an image.
    private func products(with image: Matrix) -> Matrix {
      isWide ? matrix.timesTransposed(image) : matrix.transposedTimes(image)
    }

    /// Takes away what is in some directions.
    ///
    /// - Returns: the inner products of what is left with what was taken away.
    mutating func takeOut(_ directions: Matrix) -> Matrix {
      let taken = image(directions)
      // Twice is enough, as in the process of Gram and Schmidt.
      for _ in 0..<2 {
        let part = image(directions)
        matrix.add(isWide ? directions.transposedTimes(part) : part * directions, times: -1)
      }
      return products(with: taken)
    }

    /// Leaves only what is in some directions, as a matrix whose shorter side has one vector for each.
    ///
    /// - Returns: the inner products of what is in the other directions with what is left.
    mutating func keepOnly(_ directions: Matrix) -> Matrix {
      let kept = image(directions), all = products(with: kept)
      matrix = kept
      return all - directions.transposedTimes(directions * all)
    }
  }
}
