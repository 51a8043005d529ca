/// The singular values of a product D = up · diag(w) · down by the inner products of its factors, and on demand the leading of its
/// components: one Cholesky factorisation and one symmetric eigenproblem in place of triangles of the factors and a singular
/// value decomposition.
///
/// With upᵀ·up = RᵀR, the eigenvalues of S = R·diag(w)·G·diag(w)·Rᵀ are σ², where G = down·downᵀ; an eigenvector z gives the left
/// singular vector up·R⁻¹·z. Cholesky's factorisation is backward stable, so an eigenvalue is off by about r·2⁻⁵³·σ₁² (r
/// components), whatever the condition of the factors is; and since what is kept is a projection of D, that is also all by which the
/// cut misses the best one. Small singular values are less exact: those below 10⁻⁵·σ₁ have no more than four digits. Where they
/// matter, `ProductCore` is slower and sees them.
///
/// With another matrix in the place of G, the components are those that carry most for inputs x with E[(down·x)(down·x)ᵀ] like it
/// (see `OutputDirections`); they are as many, and a cut to the leading ones still is a projection of D.
public struct ProductSpectrum: Sendable {
  /// σ, descending, one for each component that is not zero.
  public let values: [Double]
  /// What each component carries, as the root of a mean square, descending: `values` where all inputs count alike.
  public let carried: [Double]
  /// ‖·‖² of each component, in the order of `carried`.
  public let energies: [Double]
  /// ‖·‖² of each part of the product alone.
  public let partEnergies: [Double]
  /// The inner product of each part with the whole.
  public let partInners: [Double]

  private let componentCount: Int
  /// The components that are not zero, by their place in `up` and `down`, with their gauges.
  private let places: [Int], gauges: [Double]
  /// Divided by `unit`.
  private let weights: [Double]
  /// A power of two near the largest component's size, so that squares neither vanish nor overflow.
  private let unit: Double
  /// The part that each component is of.
  private let owners: [Int?]
  private let triangles: TrianglePair
  private let vectors: Vectors

  /// Eigenvectors as rows.
  private enum Vectors: Sendable {
    /// Those of S, which are computed when they are asked for.
    case own(SymmetricEigenvalues)
    /// All of them.
    case chosen(Matrix)
  }

  /// The leading components, ready to be made.
  public struct Cut: Sendable {
    /// To balanced factors of what is kept, by descending singular value.
    public let maps: FactorMaps
    /// The inner product of each part with what is kept.
    public let inners: [Double]
  }

  /// - Parameters:
  ///   - grams: the inner products of the factors.
  ///   - weights: one for each component.
  ///   - parts: ranges of components that are asked about.
  ///   - moments: E[(down·x)(down·x)ᵀ], components × components, with the share of the measure that is that of inputs that are all
  ///     alike; `nil` where nothing is known of the inputs.
  /// - Returns: `nil` where inner products say too little: where components depend on each other or cancel, and where there are more
  ///   than the sides allow.
  /// - Throws: `LinearAlgebraError` when the moments are not finite.
  public init?(
    _ grams: FactorGrams, weights all: [Double], parts: [Range<Int>],
    moments: (mean: Matrix, alike: Double)? = nil
  ) throws(LinearAlgebraError) {
    precondition(all.count == grams.componentCount, "\(all.count) weights for \(grams.componentCount) components")
    let kept = grams.order.indices.filter { all[grams.order[$0]] != 0 }, count = kept.count
    guard count > 0, count <= min(grams.rows, grams.columns), var ups = grams.up, var downs = grams.down else {
      return nil
    }
    if count < grams.order.count {
      let ones = kept.map { _ in 1.0 }
      (ups, downs) = (ups.principal(kept, scales: ones), downs.principal(kept, scales: ones))
    }
    guard let cholesky = Triangle.cholesky(ups), cholesky.reciprocalCondition > 1e-13 else { return nil }
    let triangle = cholesky.factor
    let places = kept.map { grams.order[$0] }, gauges = kept.map { grams.gauges[$0] }
    let largest = kept.indices.reduce(0.0) { size, place in
      max(size, all[places[place]].magnitude * ups[place, place].squareRoot() * downs[place, place].squareRoot())
    }
    guard largest.isNormal else { return nil }
    let unit = Double(sign: .plus, exponent: Int(largest.exponent), significand: 1)
    let weights = places.map { all[$0] / unit }
    let moment = Self.imaged(downs, weights: weights, by: triangle)
    let eigen = try SymmetricEigenvalues(upper: moment.elements, order: count)
    // What rounding makes of a zero is not told from a small value; where components cancel it is relative to them.
    let first = eigen.values[0], noise = 10 * Double(count) * 0x1p-53, size = largest / unit
    guard size * size <= 64 * first, eigen.values[count - 1] > noise * max(first, size * size) else { return nil }

    (componentCount, self.places, self.gauges, self.weights, self.unit) = (
      grams.componentCount, places, gauges, weights, unit
    )
    values = eigen.values.map { unit * $0.squareRoot() }
    triangles = TrianglePair(upper: triangle, symmetric: downs)
    owners = places.map { place in parts.firstIndex { $0.contains(place) } }
    (partEnergies, partInners) = Self.inners(ups, downs, weights: weights, owners, parts.count, unit: unit)
    guard let moments else {
      (carried, vectors) = (values, .own(eigen))
      energies = values.map { $0 * $0 }
      return
    }
    let inputs = moments.mean.principal(places, scales: gauges.map { 1 / $0 })
    let seen = Self.imaged(inputs, weights: weights, by: triangle)
    let directions = try OutputDirections(seen: seen, alike: moment, share: moments.alike)
    carried = directions.values.map { unit * $0 }
    let rows = try directions.leading(count).transposed
    energies = (rows * moment).rowProducts(rows).map { unit * unit * max(0, $0) }
    vectors = .chosen(rows)
  }

  /// Numbers that are kept: 8 bytes each.
  public var byteCount: Int { 16 * places.count * places.count }

  /// ‖D‖².
  public var energy: Double { values.reduce(0) { $0 + $1 * $1 } }

  /// The components that are not zero, by their place in `up` and `down`, ascending.
  public var components: [Int] { places.sorted() }

  /// The inner products of the columns of `up` that `components` names, in its order.
  public var upProducts: Matrix {
    let triangle = triangles.upper
    return inOrder(triangle.transposedTimes(triangle), gauges: gauges.map { 1 / $0 })
  }

  /// The inner products of the rows of `down` that `components` names, in its order.
  public var downProducts: Matrix { inOrder(triangles.symmetric, gauges: gauges) }

  private func inOrder(_ products: Matrix, gauges: [Double]) -> Matrix {
    let order = places.indices.sorted { places[$0] < places[$1] }
    return products.principal(order, scales: order.map { gauges[$0] })
  }

  /// The inner product of each part with the leading `rank` components.
  ///
  /// - Precondition: there are as many.
  public func inners(rank: Int) throws(LinearAlgebraError) -> [Double] {
    guard rank < places.count else { return partInners }
    return rank > 0 ? inners(try leading(rank)) : partInners.map { _ in 0 }
  }

  /// The leading `rank` components.
  ///
  /// - Returns: `nil` where the smallest of them is too small to be told from inner products.
  /// - Precondition: there are as many, and `rank` is not 0.
  public func cut(to rank: Int) throws(LinearAlgebraError) -> Cut? {
    var leading = try leading(rank), sizes = Array(values.prefix(rank))
    let inners = inners(leading)
    if case .chosen = vectors {
      // Other directions than D's own do not give its singular vectors: a small eigenproblem does.
      let eigen = try SymmetricEigenvalues(
        upper: leading.products.timesTransposed(leading.images).elements, order: rank)
      let turned = try eigen.leadingVectors(rank)
      (leading.coordinates, leading.images) = (turned * leading.coordinates, turned * leading.images)
      sizes = eigen.values.map { unit * max(0, $0).squareRoot() }
    }
    guard sizes[rank - 1] > 1e-5 * values[0] else { return nil }
    let roots = sizes.map { $0.squareRoot() }
    let up = leading.coordinates.scalingRows(by: roots).scalingColumns(by: gauges)
    let down = leading.images.scalingRows(by: roots.map { unit / $0 }).scalingColumns(by: gauges.map { 1 / $0 })
    return Cut(maps: FactorMaps(up: spread(up).transposed, down: spread(down)), inners: inners)
  }

  /// D' = (up·Pᵀ)·(Q·down): what is kept, in terms of balanced factors.
  private struct Leading {
    /// P = Z·R⁻ᵀ for eigenvectors Z, which are rows.
    var coordinates: Matrix
    /// Q = Z·R·diag(w).
    var images: Matrix
    /// Q·down·downᵀ.
    var products: Matrix
  }

  private func leading(_ rank: Int) throws(LinearAlgebraError) -> Leading {
    let count = places.count, triangle = triangles.upper
    precondition(rank > 0 && rank <= count, "\(rank) of \(count) components")
    var coordinates: Matrix
    switch vectors {
    case .own(let eigen): coordinates = try eigen.leadingVectors(rank)
    case .chosen(let rows): coordinates = rows.selecting(rows: 0..<rank)
    }
    var images = coordinates
    triangle.elements.withUnsafeBufferPointer { r in
      images.elements.withUnsafeMutableBufferPointer {
        BLAS.multiply(
          $0.baseAddress!, byUpper: r.baseAddress!, transposed: false, order: count, count: rank, fromLeft: false)
      }
      coordinates.elements.withUnsafeMutableBufferPointer {
        BLAS.divide($0.baseAddress!, byTransposedUpper: r.baseAddress!, order: count, count: rank)
      }
    }
    images = images.scalingColumns(by: weights)
    return Leading(coordinates: coordinates, images: images, products: images * triangles.symmetric)
  }

  /// Of what is kept with each part.
  private func inners(_ leading: Leading) -> [Double] {
    var inners = partInners.map { _ in 0.0 }
    for (component, owner) in owners.enumerated() {
      guard let owner else { continue }
      for i in 0..<leading.images.rows {
        inners[owner] += unit * unit * leading.images[i, component] * leading.products[i, component]
      }
    }
    return inners
  }

  /// R·diag(w)·inner·diag(w)·Rᵀ for a symmetric matrix.
  private static func imaged(_ inner: Matrix, weights: [Double], by triangle: Matrix) -> Matrix {
    var image = inner.scalingRows(by: weights).scalingColumns(by: weights)
    let order = triangle.rows
    image.elements.withUnsafeMutableBufferPointer { x in
      triangle.elements.withUnsafeBufferPointer { r in
        for fromLeft in [false, true] {
          BLAS.multiply(
            x.baseAddress!, byUpper: r.baseAddress!, transposed: !fromLeft, order: order, count: order,
            fromLeft: fromLeft)
        }
      }
    }
    return image
  }

  /// Of each part its squared norm, and its inner product with the whole.
  private static func inners(
    _ ups: Matrix, _ downs: Matrix, weights: [Double], _ owners: [Int?], _ parts: Int, unit: Double
  ) -> (energies: [Double], inners: [Double]) {
    var energies = [Double](repeating: 0, count: parts), inners = energies
    let count = weights.count
    for i in 0..<count {
      guard let owner = owners[i] else { continue }
      var own = 0.0, all = 0.0
      for j in 0..<count {
        let product = weights[j] * ups.elements[i * count + j] * downs.elements[i * count + j]
        all += product
        if owners[j] == owner { own += product }
      }
      energies[owner] += unit * unit * weights[i] * own
      inners[owner] += unit * unit * weights[i] * all
    }
    return (energies, inners)
  }

  /// Puts the columns of components that are not zero back to their places among all; the others get zeros.
  private func spread(_ kept: Matrix) -> Matrix {
    var all = Matrix(zeros: kept.rows, componentCount)
    for i in 0..<kept.rows { for (j, place) in places.enumerated() { all[i, place] = kept[i, j] } }
    return all
  }
}

/// An upper triangle and a symmetric matrix of the same order, in the memory of one matrix.
private struct TrianglePair: Sendable {
  /// One row more than the order: the triangle's rows end where those of the other's lower half, one further down, begin.
  private let both: Matrix

  init(upper: Matrix, symmetric: Matrix) {
    let order = upper.rows
    var both = Matrix(zeros: order + 1, order)
    for i in 0..<order {
      for j in i..<order { both[i, j] = upper[i, j] }
      for j in 0...i { both[i + 1, j] = symmetric[i, j] }
    }
    self.both = both
  }

  private var order: Int { both.columns }

  /// With zeros below the diagonal.
  var upper: Matrix {
    var triangle = Matrix(zeros: order, order)
    for i in 0..<order { for j in i..<order { triangle[i, j] = both[i, j] } }
    return triangle
  }

  var symmetric: Matrix {
    var matrix = Matrix(zeros: order, order)
    for i in 0..<order {
      for j in 0...i { (matrix[i, j], matrix[j, i]) = (both[i + 1, j], both[i + 1, j]) }
    }
    return matrix
  }
}
