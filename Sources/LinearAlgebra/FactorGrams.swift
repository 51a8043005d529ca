/// The inner products of the components of a product up · diag(w) · down among each other: all that its singular values need, as
/// far as components are independent.
///
/// Components (column j of up with row j of down) are balanced by powers of two, so that both sides have equal length, sorted
/// by descending size, and left out where a side is zero.
public struct FactorGrams: Sendable {
  /// m and n.
  let rows: Int, columns: Int
  /// All of them: columns of `up`, rows of `down`.
  let componentCount: Int
  /// The kept components by their place in `up` and `down`, largest first.
  let order: [Int]
  /// 2^e, by which a kept component's `up` column is multiplied and its `down` row divided.
  let gauges: [Double]
  /// Of the kept and balanced columns of `up`; `nil` where there are many, and more than can be independent.
  let up: Matrix?
  /// Of the kept and balanced rows of `down`, likewise.
  let down: Matrix?

  /// - Parameters:
  ///   - up: m × r, row-major.
  ///   - down: r × n, row-major.
  /// - Throws: `LinearAlgebraError` (`notFinite`) when a factor holds NaN or infinity.
  public init(
    up: UnsafeBufferPointer<Double>, down: UnsafeBufferPointer<Double>, rows m: Int, columns n: Int, rank r: Int
  ) throws(LinearAlgebraError) {
    precondition(up.count == m * r && down.count == r * n, "factors of \(m) × \(r) and \(r) × \(n) are needed")
    guard m > 0, n > 0, r > 0 else {
      let none = [Double](repeating: 0, count: r)
      try self.init((nil, none), (nil, none), rows: m, columns: n)
      return
    }
    let upBase = up.baseAddress!, downBase = down.baseAddress!
    let upGram = Self.gram(upBase, .columns, length: m, count: r)
    let downGram = Self.gram(downBase, .rows, length: n, count: r)
    let upLengths = upGram?.diagonal.map { $0.squareRoot() } ?? Matrix.columnNorms(upBase, m, r)
    let downLengths = downGram?.diagonal.map { $0.squareRoot() } ?? Matrix.rowNorms(downBase, r, n)
    try self.init((upGram, upLengths), (downGram, downLengths), rows: m, columns: n)
  }

  /// - Parameters:
  ///   - up: inner products of the columns of `up`, of m numbers each.
  ///   - down: inner products of the rows of `down`, of n numbers each, as many.
  /// - Throws: `LinearAlgebraError` (`notFinite`) when a factor holds NaN or infinity.
  public init(up: GramSums, down: GramSums) throws(LinearAlgebraError) {
    precondition(up.count == down.count, "\(up.count) columns for \(down.count) rows")
    let ups = up.matrix, downs = down.matrix
    try self.init(
      (ups, ups.diagonal.map { $0.squareRoot() }), (downs, downs.diagonal.map { $0.squareRoot() }), rows: up.length,
      columns: down.length)
  }

  private init(
    _ ups: (gram: Matrix?, lengths: [Double]), _ downs: (gram: Matrix?, lengths: [Double]), rows m: Int, columns n: Int
  ) throws(LinearAlgebraError) {
    let upLengths = ups.lengths, downLengths = downs.lengths, r = upLengths.count
    (rows, columns, componentCount) = (m, n, r)
    guard zip(upLengths, downLengths).allSatisfy({ $0.isFinite && $1.isFinite }) else {
      throw LinearAlgebraError(.notFinite)
    }
    // Ties keep the file's order, so that equal input gives equal output.
    let order = (0..<r).filter { upLengths[$0] > 0 && downLengths[$0] > 0 }
      .sorted { (upLengths[$0] * downLengths[$0], $1) > (upLengths[$1] * downLengths[$1], $0) }
    let gauges = order.map { component in
      let half = (downLengths[component].exponent - upLengths[component].exponent) / 2
      return Double(sign: .plus, exponent: Int(half), significand: 1)
    }
    (self.order, self.gauges) = (order, gauges)
    self.up = ups.gram?.principal(order, scales: gauges)
    self.down = downs.gram?.principal(order, scales: gauges.map { 1 / $0 })
  }

  /// From so many components on, inner products that nothing has a use for are not computed: they would take far more memory
  /// than the factors themselves.
  package static let manyComponents = 1024

  private static func gram(
    _ x: UnsafePointer<Double>, _ layout: Triangle.Layout, length: Int, count: Int
  ) -> Matrix? {
    count > length && count >= manyComponents ? nil : Triangle.gram(x, layout, length: length, count: count)
  }
}

extension Matrix {
  /// ⟨xᵢ, xⱼ⟩ for the columns of a row-major matrix of `count` columns.
  public init(innerProductsOfColumns x: UnsafeBufferPointer<Double>, count: Int) {
    self = Triangle.gram(x.baseAddress!, .columns, length: x.count / count, count: count)
  }

  /// ⟨xᵢ, xⱼ⟩ for the rows of a row-major matrix of `count` rows.
  public init(innerProductsOfRows x: UnsafeBufferPointer<Double>, count: Int) {
    self = Triangle.gram(x.baseAddress!, .rows, length: x.count / count, count: count)
  }

  /// The elements on the diagonal.
  var diagonal: [Double] { (0..<min(rows, columns)).map { self[$0, $0] } }

  /// The chosen rows and columns, both in the same order and multiplied by the same factors: scaleᵢ · aᵢⱼ · scaleⱼ.
  func principal(_ chosen: [Int], scales: [Double]) -> Matrix {
    precondition(chosen.count == scales.count, "\(scales.count) factors for \(chosen.count) rows")
    return mapped(chosen.count, chosen.count) { source, target in
      for (i, row) in chosen.enumerated() {
        let line = source + row * columns, scale = scales[i], place = target + i * chosen.count
        for (j, column) in chosen.enumerated() { place[j] = line[column] * scale * scales[j] }
      }
    }
  }
}
