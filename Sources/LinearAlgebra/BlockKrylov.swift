/// The leading singular triples of a large matrix from a block Krylov space.
///
/// The space is spanned by Ω·A, Ω·A·(AᵀA), … with a random block Ω of 0.6·k vectors and four powers; every block is made
/// orthonormal against all before it. Much better for its cost than a subspace iteration (Musco and Musco, "Randomized
/// block Krylov methods", 2015; blocks smaller than k: Meyer, Musco and Musco 2023). Products with A are in single
/// precision, everything small in double. Ω is the same for equal shapes, so equal input gives equal output.
struct BlockKrylov {
  /// Descending: as many as the space has, without those that rounding has drowned. The first k are good.
  let values: [Double]
  /// Orthonormal rows that span the space, on the shorter side.
  private let basis: Matrix
  /// The basis times A (or Aᵀ).
  private let image: Matrix
  private let eigen: SymmetricEigenvalues
  private let isLeft: Bool

  private static let powers = 4

  init(of a: DenseMatrix, count: Int) throws(LinearAlgebraError) {
    isLeft = a.rows <= a.columns
    let long = max(a.rows, a.columns), size = min(max((count * 3 + 4) / 5, 8), a.fullRank)
    var basis = FloatRows(count: 0, length: a.fullRank, elements: [])
    var block = Self.applied(a, toLong: FloatRows.random(size, long), isLeft)
    for power in 0...Self.powers {
      block = try block.orthonormal(against: basis)
      // Nothing new: the space holds all that the matrix has.
      guard block.count > 0 else { break }
      basis.append(block)
      guard power < Self.powers else { break }
      // Orthonormal in between, so that single precision does not lose small directions beside large ones.
      let between = try Self.applied(a, toShort: block, isLeft).orthonormal(against: nil)
      block = Self.applied(a, toLong: between, isLeft)
    }
    self.basis = try basis.refined()
    let image = Self.applied(a, toShort: FloatRows(self.basis), isLeft).widened, order = image.rows
    self.image = image
    let gram = image.elements.withUnsafeBufferPointer {
      Triangle.gram($0.baseAddress!, .rows, length: image.columns, count: order)
    }
    eigen = try SymmetricEigenvalues(upper: gram.elements, order: order)
    values = eigen.values.map { max(0, $0).squareRoot() }.above(Double(long).squareRoot() * 0x1p-24)
  }

  /// - Returns: values, left and right vectors as rows.
  func triples(_ count: Int) throws(LinearAlgebraError) -> ([Double], Matrix, Matrix) {
    let rotation = try eigen.leadingVectors(count)
    let short = rotation * basis
    let (norms, unit) = (rotation * image).normalisedRows
    return isLeft ? (norms, short, unit) : (norms, unit, short)
  }

  /// Random signs: as good as normal numbers to start with, and the same everywhere.
  static func signs(_ count: Int, seed: UInt64) -> [Double] {
    var state = seed, bits: UInt64 = 0
    return (0..<count).map { index in
      if index % 64 == 0 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        state &+= 0x9e37_79b9_7f4a_7c15
        bits = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        bits ^= bits >> 31
      }
      defer { bits >>= 1 }
      return bits & 1 == 0 ? 1 : -1
    }
  }

  /// Vectors of the shorter side to the longer one: rows · A, where rows are left vectors.
  private static func applied(_ a: DenseMatrix, toShort vectors: FloatRows, _ isLeft: Bool) -> FloatRows {
    vectors.times(a.base, rows: a.rows, columns: a.columns, transposed: !isLeft)
  }

  private static func applied(_ a: DenseMatrix, toLong vectors: FloatRows, _ isLeft: Bool) -> FloatRows {
    vectors.times(a.base, rows: a.rows, columns: a.columns, transposed: isLeft)
  }
}

/// Vectors in single precision, as rows.
private struct FloatRows {
  private(set) var count: Int
  let length: Int
  private(set) var elements: [Float]

  /// A row that has lost more than this in a projection is only rounding.
  private static let negligible = 1e-6

  init(count: Int, length: Int, elements: [Float]) {
    (self.count, self.length, self.elements) = (count, length, elements)
  }

  init(_ matrix: Matrix) {
    self.init(count: matrix.rows, length: matrix.columns, elements: matrix.elements.map { Float($0) })
  }

  static func random(_ count: Int, _ length: Int) -> FloatRows {
    let signs = BlockKrylov.signs(count * length, seed: UInt64(count) << 32 ^ UInt64(length))
    return FloatRows(count: count, length: length, elements: signs.map { Float($0) })
  }

  var widened: Matrix { Matrix(rows: count, columns: length, elements: elements.map { Double($0) }) }

  mutating func append(_ other: FloatRows) {
    elements += other.elements
    count += other.count
  }

  /// rows · A or rows · Aᵀ.
  func times(_ a: UnsafePointer<Float>, rows: Int, columns: Int, transposed: Bool) -> FloatRows {
    let width = transposed ? rows : columns
    let product = [Float](unsafeUninitializedCapacity: count * width) { target, size in
      size = count * width
      BLAS.multiply(
        elements, a, transposed: transposed, rows: count, inner: length, columns: width, into: target.baseAddress!)
    }
    return FloatRows(count: count, length: width, elements: product)
  }

  /// Orthonormal rows with the same span, but for what lies in the span of `others`; fewer where they depend on each
  /// other. Everything is done twice, which is enough (Kahan and Parlett).
  func orthonormal(against others: FloatRows?) throws(LinearAlgebraError) -> FloatRows {
    var rows = self
    for _ in 0..<2 where rows.count > 0 {
      let before = rows.norms
      if let others, others.count > 0 { rows.subtractProjection(on: others) }
      rows = try rows.whitened(before: before)
    }
    return rows
  }

  private var norms: [Double] {
    elements.withUnsafeBufferPointer { all in
      (0..<count).map { UnsafeBufferPointer(rebasing: all[$0 * length..<($0 + 1) * length]).sumOfSquares.squareRoot() }
    }
  }

  private mutating func subtractProjection(on others: FloatRows) {
    let shares = others.elements.withUnsafeBufferPointer {
      times($0.baseAddress!, rows: others.count, columns: length, transposed: true)
    }
    BLAS.multiply(
      shares.elements, others.elements, transposed: false, rows: count, inner: others.count, columns: length,
      factor: -1, addingTo: 1, into: &elements)
  }

  /// Orthonormal by the eigenvectors of the inner products, without directions that are only rounding.
  private func whitened(before: [Double]) throws(LinearAlgebraError) -> FloatRows {
    let after = norms
    let kept = after.indices.filter { after[$0] > Self.negligible * before[$0] }
    guard !kept.isEmpty else { return FloatRows(count: 0, length: length, elements: []) }
    let unit = widened.selecting(rows: kept).scalingRows(by: kept.map { 1 / after[$0] })
    let gram = unit.elements.withUnsafeBufferPointer {
      Triangle.gram($0.baseAddress!, .rows, length: length, count: kept.count)
    }
    let eigen = try SymmetricEigenvalues(upper: gram.elements, order: kept.count)
    let level = eigen.values[0] * Self.negligible * Self.negligible
    let count = eigen.values.count { $0 > level }
    let rotation = try eigen.leadingVectors(count).scalingRows(
      by: eigen.values.prefix(count).map { 1 / $0.squareRoot() })
    return FloatRows(rotation * unit)
  }

  /// The rows made orthonormal in double precision; they nearly are.
  func refined() throws(LinearAlgebraError) -> Matrix {
    var rows = widened
    let gram = rows.elements.withUnsafeBufferPointer {
      Triangle.gram($0.baseAddress!, .rows, length: length, count: count)
    }
    guard let factor = Triangle.cholesky(gram)?.factor else { throw LinearAlgebraError(.noConvergence) }
    let (size, width) = (count, length)
    rows.elements.withUnsafeMutableBufferPointer { rows in
      factor.elements.withUnsafeBufferPointer {
        BLAS.divide(
          rows.baseAddress!, byUpper: $0.baseAddress!, order: size, count: width, vectorsAreRows: true)
      }
    }
    return rows
  }
}
