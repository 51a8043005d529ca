import COpenBLAS

/// A dense matrix of doubles in row-major order.
public struct Matrix: Equatable, Sendable {
  /// How many rows there are; may be 0.
  public let rows: Int
  /// Numbers of a row; may be 0.
  public let columns: Int
  /// Row after row; `rows` · `columns` of them.
  public var elements: [Double]

  /// - Precondition: `elements.count == rows * columns`.
  public init(rows: Int, columns: Int, elements: [Double]) {
    precondition(elements.count == rows * columns, "\(elements.count) elements for \(rows) × \(columns)")
    self.rows = rows
    self.columns = columns
    self.elements = elements
  }

  /// A matrix of zeros.
  public init(zeros rows: Int, _ columns: Int) {
    self.init(rows: rows, columns: columns, elements: [Double](repeating: 0, count: rows * columns))
  }

  /// The element in a row and a column, both counted from 0.
  public subscript(row: Int, column: Int) -> Double {
    get { elements[row * columns + column] }
    set { elements[row * columns + column] = newValue }
  }

  /// A copy with rows for columns.
  public var transposed: Matrix {
    mapped(columns, rows) { source, target in
      for i in 0..<rows { for j in 0..<columns { target[j * rows + i] = source[i * columns + j] } }
    }
  }

  /// The chosen columns, in the given order.
  public func selecting(columns chosen: some Collection<Int>) -> Matrix {
    mapped(rows, chosen.count) { source, target in
      for (j, column) in chosen.enumerated() {
        precondition(0..<columns ~= column, "column \(column) of \(columns)")
        for i in 0..<rows { target[i * chosen.count + j] = source[i * columns + column] }
      }
    }
  }

  /// The chosen rows, in the given order.
  public func selecting(rows chosen: some Collection<Int>) -> Matrix {
    Matrix(
      rows: chosen.count, columns: columns,
      elements: chosen.flatMap { elements[$0 * columns..<($0 + 1) * columns] })
  }

  /// A copy with row `i` multiplied by `factors[i]`.
  public func scalingRows(by factors: [Double]) -> Matrix {
    precondition(factors.count == rows, "\(factors.count) factors for \(rows) rows")
    return mapped(rows, columns) { source, target in
      for i in 0..<rows {
        let factor = factors[i]
        for place in i * columns..<(i + 1) * columns { target[place] = source[place] * factor }
      }
    }
  }

  /// A copy with column `j` multiplied by `factors[j]`.
  public func scalingColumns(by factors: [Double]) -> Matrix {
    precondition(factors.count == columns, "\(factors.count) factors for \(columns) columns")
    return mapped(rows, columns) { source, target in
      factors.withUnsafeBufferPointer { factors in
        for i in 0..<rows { for j in 0..<columns { target[i * columns + j] = source[i * columns + j] * factors[j] } }
      }
    }
  }

  /// ‖A‖_F = √Σ aᵢⱼ². Accurate whatever the scale of the elements.
  public var frobeniusNorm: Double { elements.isEmpty ? 0 : BLAS.norm(elements) }

  /// The Euclidean length of each column.
  public var columnNorms: [Double] {
    var squares = [Double](repeating: 0, count: columns)
    for i in 0..<rows { for j in 0..<columns { squares[j] += elements[i * columns + j] * elements[i * columns + j] } }
    return squares.map { $0.squareRoot() }
  }

  /// The Euclidean length of each column of a row-major matrix that is only looked at.
  static func columnNorms(_ x: UnsafePointer<Double>, _ rows: Int, _ columns: Int) -> [Double] {
    var squares = [Double](repeating: 0, count: columns)
    for i in 0..<rows { for j in 0..<columns { squares[j] += x[i * columns + j] * x[i * columns + j] } }
    return squares.map { $0.squareRoot() }
  }

  /// The Euclidean length of each row of a row-major matrix that is only looked at.
  static func rowNorms(_ x: UnsafePointer<Double>, _ rows: Int, _ columns: Int) -> [Double] {
    (0..<rows).map { i in
      (0..<columns).reduce(0) { $0 + x[i * columns + $1] * x[i * columns + $1] }.squareRoot()
    }
  }

  /// ⟨A, B⟩ = Σ aᵢⱼ·bᵢⱼ.
  ///
  /// - Precondition: both have the same shape.
  public func inner(_ other: Matrix) -> Double {
    precondition(rows == other.rows && columns == other.columns, "an inner product needs equal shapes")
    return zip(elements, other.elements).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// The product of matrices; a has as many columns as b has rows.
  public static func * (a: Matrix, b: Matrix) -> Matrix { product(a, b) }

  /// A·Bᵀ.
  public func timesTransposed(_ b: Matrix) -> Matrix { Self.product(self, b, transposingB: true) }

  /// Aᵀ·B.
  public func transposedTimes(_ b: Matrix) -> Matrix { Self.product(self, b, transposingA: true) }

  /// Element by element; both have the same shape.
  public static func + (a: Matrix, b: Matrix) -> Matrix { a.combined(with: b, +) }
  /// Element by element; both have the same shape.
  public static func - (a: Matrix, b: Matrix) -> Matrix { a.combined(with: b, -) }
  /// Every element times a number.
  public static func * (scalar: Double, a: Matrix) -> Matrix {
    Matrix(rows: a.rows, columns: a.columns, elements: a.elements.map { scalar * $0 })
  }

  /// Multiplies every element, in place.
  public mutating func multiply(by factor: Double) {
    elements.withUnsafeMutableBufferPointer { for i in $0.indices { $0[i] *= factor } }
  }

  /// Adds another matrix of the same shape times a number, in place.
  public mutating func add(_ other: Matrix, times factor: Double) {
    precondition(rows == other.rows && columns == other.columns, "a sum needs equal shapes")
    other.elements.withUnsafeBufferPointer { other in
      elements.withUnsafeMutableBufferPointer { for i in $0.indices { $0[i] += factor * other[i] } }
    }
  }

  private func combined(with other: Matrix, _ operation: (Double, Double) -> Double) -> Matrix {
    precondition(rows == other.rows && columns == other.columns, "a sum needs equal shapes")
    return Matrix(rows: rows, columns: columns, elements: zip(elements, other.elements).map(operation))
  }

  /// A matrix whose every element `fill` writes, from unchecked views of this one's elements and the new ones.
  func mapped(
    _ rows: Int, _ columns: Int, fill: (UnsafePointer<Double>, UnsafeMutablePointer<Double>) -> Void
  ) -> Matrix {
    guard rows * columns > 0, !elements.isEmpty else { return Matrix(zeros: rows, columns) }
    let values = [Double](unsafeUninitializedCapacity: rows * columns) { target, count in
      elements.withUnsafeBufferPointer { fill($0.baseAddress!, target.baseAddress!) }
      count = rows * columns
    }
    return Matrix(rows: rows, columns: columns, elements: values)
  }

  private static func product(
    _ a: Matrix, _ b: Matrix, transposingA: Bool = false, transposingB: Bool = false
  ) -> Matrix {
    let rows = transposingA ? a.columns : a.rows, inner = transposingA ? a.rows : a.columns
    let columns = transposingB ? b.rows : b.columns
    precondition(inner == (transposingB ? b.columns : b.rows), "the inner extents of a product must agree")
    var result = Matrix(zeros: rows, columns)
    guard rows > 0, columns > 0, inner > 0 else { return result }
    a.elements.withUnsafeBufferPointer { a_ in
      b.elements.withUnsafeBufferPointer { b_ in
        result.elements.withUnsafeMutableBufferPointer { out in
          BLAS.multiply(
            a_.baseAddress!, a.columns, transposed: transposingA, b_.baseAddress!, b.columns, transposed: transposingB,
            rows: rows, inner: inner, columns: columns, into: out.baseAddress!)
        }
      }
    }
    return result
  }
}

extension Matrix {
  /// The matrices below each other.
  ///
  /// - Precondition: there is one, and all have the same number of columns.
  public init(stacking matrices: [Matrix]) {
    precondition(matrices.allSatisfy { $0.columns == matrices[0].columns }, "stacked matrices need equal columns")
    self.init(
      rows: matrices.reduce(0) { $0 + $1.rows }, columns: matrices[0].columns, elements: matrices.flatMap(\.elements))
  }
}
