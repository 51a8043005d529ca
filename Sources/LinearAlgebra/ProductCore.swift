/// The product D = up · diag(weights) · down reduced to a small core, without forming D.
///
/// With up = Q_u·R_u and downᵀ = Q_d·R_d (Q orthonormal, never computed), D = Q_u·(R_u·diag(w)·R_dᵀ)·Q_dᵀ: singular
/// values, norms and inner products of D are those of the core R_u·diag(w)·R_dᵀ. Components (column j of up with row j
/// of down) are first balanced by powers of two so that both sides have equal length, and sorted by descending size;
/// that keeps small singular values accurate. Algorithm: thin QR of both factors, then an SVD of the core, in double
/// precision throughout. Cost about 2(m + n)r² + 25r³ operations.
public struct ProductCore: Sendable {
  /// Number of components before zero ones were dropped: columns of `up`, rows of `down`.
  public let componentCount: Int
  /// The kept components by their place in `up` and `down`, largest first.
  private let order: [Int]
  /// 2^e, by which a kept component's `up` column was multiplied and its `down` row divided.
  private let gauges: [Double]
  private let upTriangle: Matrix
  private let downTriangle: Matrix

  /// - Parameters:
  ///   - up: m × r, row-major. May be overwritten.
  ///   - down: r × n, row-major. May be overwritten.
  /// - Throws: `LinearAlgebraError` (`notFinite`) when a factor holds NaN or infinity.
  public init(
    up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>, rows m: Int, columns n: Int,
    rank r: Int
  ) throws(LinearAlgebraError) {
    self.init(
      try FactorGrams(up: UnsafeBufferPointer(up), down: UnsafeBufferPointer(down), rows: m, columns: n, rank: r),
      up: up, down: down)
  }

  /// - Parameters:
  ///   - grams: the inner products of the factors.
  ///   - up: m × r, row-major. May be overwritten.
  ///   - down: r × n, row-major. May be overwritten.
  public init(
    _ grams: FactorGrams, up: UnsafeMutableBufferPointer<Double>, down: UnsafeMutableBufferPointer<Double>
  ) {
    let m = grams.rows, n = grams.columns, r = grams.componentCount
    precondition(up.count == m * r && down.count == r * n, "factors of \(m) × \(r) and \(r) × \(n) are needed")
    let order = grams.order
    (componentCount, self.order, gauges) = (r, order, grams.gauges)

    func triangle(
      _ gram: Matrix?, _ x: UnsafeMutableBufferPointer<Double>, _ layout: Triangle.Layout, length: Int,
      scales: [Double]
    ) -> Matrix {
      guard !order.isEmpty else { return Matrix(zeros: 0, 0) }
      let x = x.baseAddress!
      guard let gram else {
        Self.arrange(x, layout, length: length, count: r, order: order, scales: scales)
        return Triangle.byOrthogonalisation(x, layout, length: length, count: order.count)
      }
      return Triangle.factor(length: length, gram: gram, layout) {
        Self.arrange(x, layout, length: length, count: r, order: order, scales: scales)
        return x
      }
    }
    upTriangle = triangle(grams.up, up, .columns, length: m, scales: gauges)
    downTriangle = triangle(grams.down, down, .rows, length: n, scales: gauges.map { 1 / $0 })
  }

  /// Whether no component is left: D is exactly zero.
  public var isZero: Bool { order.isEmpty }

  /// The core of up · diag(weights) · down: same singular values, same norm. Small: at most r × r.
  ///
  /// - Parameter weights: one for each component of the factors; zeros choose a part of the product.
  public func core(weights: [Double]) -> Matrix {
    precondition(weights.count == componentCount, "\(weights.count) weights for \(componentCount) components")
    return upTriangle.scalingColumns(by: order.map { weights[$0] }).timesTransposed(downTriangle)
  }

  /// The largest |wᵢ|·‖upᵢ‖·‖downᵢ‖. Where components cancel, rounding errors are relative to this and not to σ₁.
  public func largestComponent(weights: [Double]) -> Double {
    let sizes = zip(upTriangle.columnNorms, downTriangle.columnNorms).map(*)
    return zip(order, sizes).reduce(0) { max($0, weights[$1.0].magnitude * $1.1) }
  }

  /// The coordinates of the chosen columns of `up` in an orthonormal basis shared by all columns: inner products,
  /// norms and angles between them are those of the columns themselves.
  public func upCoordinates(of components: Range<Int>) -> Matrix {
    coordinates(upTriangle, of: components, scales: gauges.map { 1 / $0 })
  }

  /// As `upCoordinates(of:)` for the chosen rows of `down`; each row is a column of the result.
  public func downCoordinates(of components: Range<Int>) -> Matrix {
    coordinates(downTriangle, of: components, scales: gauges)
  }

  /// The singular value decomposition of up · diag(weights) · down, with what is needed to build factors of it.
  public func decomposed(weights: [Double]) throws(LinearAlgebraError) -> Decomposition {
    let svd = try SingularValues(of: core(weights: weights))
    let kept = order.map { weights[$0] }
    // D·V = up·diag(w)·(coordinates of V in the rows of down) = U·Σ, and the mirror image: no inverse is needed.
    let upMap = (svd.vt * downTriangle).scalingColumns(by: zip(kept, gauges).map { $0 * $1 })
    let downMap = svd.u.transposedTimes(upTriangle).scalingColumns(by: zip(kept, gauges).map { $0 / $1 })
    return Decomposition(
      values: svd.values, u: svd.u, vt: svd.vt, upMap: spread(upMap).transposed, downMap: spread(downMap),
      largestComponent: largestComponent(weights: weights))
  }

  /// As `decomposed(weights:)`, for the product projected on chosen subspaces: P_left · D · P_right.
  ///
  /// - Parameters:
  ///   - left: p × k with orthonormal columns, in the coordinates of `core`'s rows.
  ///   - right: q × k with orthonormal columns, in the coordinates of `core`'s columns.
  public func decomposed(
    weights: [Double], left: Matrix, right: Matrix
  ) throws(LinearAlgebraError) -> Decomposition {
    let inner = try SingularValues(of: left.transposedTimes(core(weights: weights)) * right)
    let u = left * inner.u, vt = inner.vt.timesTransposed(right)
    let downMap = try Self.solve(downTriangle, vt.transposed.scalingColumns(by: inner.values)).transposed
      .scalingColumns(by: gauges.map { 1 / $0 })
    return try projected(weights: weights, values: inner.values, u: u, vt: vt, downMap: downMap)
  }

  /// As `decomposed(weights:)`, for the product projected from one side: P_left · D.
  ///
  /// - Parameter left: p × k with orthonormal columns, in the coordinates of `core`'s rows.
  public func decomposed(weights: [Double], left: Matrix) throws(LinearAlgebraError) -> Decomposition {
    let inner = try SingularValues(of: left.transposedTimes(core(weights: weights)))
    let u = left * inner.u
    // Σ·Vᵀ = Uᵀ·D is the delta's own rows, and needs no inverse.
    let downMap = u.transposedTimes(upTriangle).scalingColumns(by: zip(order, gauges).map { weights[$0] / $1 })
    return try projected(weights: weights, values: inner.values, u: u, vt: inner.vt, downMap: downMap)
  }

  /// A decomposition of a projected product.
  ///
  /// - Parameter downMap: what makes Σ·Vᵀ of the kept components of `down`.
  private func projected(
    weights: [Double], values: [Double], u: Matrix, vt: Matrix, downMap: Matrix
  ) throws(LinearAlgebraError) -> Decomposition {
    // U·Σ = up·x has the solution x = pseudo-inverse of the triangle times the coordinates.
    let upMap = try Self.solve(upTriangle, u.scalingColumns(by: values)).transposed.scalingColumns(by: gauges)
    return Decomposition(
      values: values, u: u, vt: vt, upMap: spread(upMap).transposed, downMap: spread(downMap),
      largestComponent: largestComponent(weights: weights))
  }

  /// E[y·yᵀ] of the product's outputs y = D·x, in the coordinates of `core`'s rows.
  ///
  /// - Parameter inputs: E[(down·x)·(down·x)ᵀ], components × components.
  func outputMoments(weights: [Double], inputs: Matrix) -> Matrix {
    let gauged = inputs.principal(order, scales: gauges.map { 1 / $0 })
    let outputs = upTriangle.scalingColumns(by: order.map { weights[$0] })
    return (outputs * gauged).timesTransposed(outputs)
  }

  /// The least-squares solution of triangle · x = b with the smallest norm.
  private static func solve(_ triangle: Matrix, _ b: Matrix) throws(LinearAlgebraError) -> Matrix {
    let svd = try SingularValues(of: triangle)
    let cut = (svd.values.first ?? 0) * 1e-13
    let inverses = svd.values.map { $0 > cut ? 1 / $0 : 0 }
    return svd.vt.transposed.scalingColumns(by: inverses) * svd.u.transposedTimes(b)
  }

  private func coordinates(_ triangle: Matrix, of components: Range<Int>, scales: [Double]) -> Matrix {
    let places = order.indices.filter { components.contains(order[$0]) }
    return triangle.selecting(columns: places).scalingColumns(by: places.map { scales[$0] })
  }

  /// Puts the columns of kept components back to their places among all components; dropped ones get zeros.
  private func spread(_ kept: Matrix) -> Matrix {
    var all = Matrix(zeros: kept.rows, componentCount)
    for i in 0..<kept.rows { for (j, component) in order.enumerated() { all[i, component] = kept[i, j] } }
    return all
  }

  /// Brings the kept vectors to the front of `x`, in order and scaled, leaving no room between them.
  private static func arrange(
    _ x: UnsafeMutablePointer<Double>, _ layout: Triangle.Layout, length: Int, count: Int, order: [Int],
    scales: [Double]
  ) {
    switch layout {
    case .columns:
      var row = [Double](repeating: 0, count: count)
      for i in 0..<length {
        for j in 0..<count { row[j] = x[i * count + j] }
        for (place, component) in order.enumerated() { x[i * order.count + place] = row[component] * scales[place] }
      }
    case .rows:
      let source = [Double](UnsafeBufferPointer(start: x, count: length * count))
      for (place, component) in order.enumerated() {
        let from = component * length, to = place * length, scale = scales[place]
        for i in 0..<length { x[to + i] = source[from + i] * scale }
      }
    }
  }
}
