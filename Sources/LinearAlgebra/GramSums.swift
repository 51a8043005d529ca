/// The inner products of long vectors, summed while parts of them are shown: the vectors as a whole need never be in memory.
public struct GramSums: Sendable {
  /// How many vectors there are.
  public let count: Int
  /// How many numbers of each have been shown.
  public private(set) var length = 0
  /// Of which the upper half counts.
  private var sums: Matrix

  /// Of nothing yet.
  public init(count: Int) {
    self.count = count
    sums = Matrix(zeros: count, count)
  }

  /// Adds a part in which vectors are columns: as many rows as there are numbers of each.
  public mutating func add(columns part: UnsafeBufferPointer<Double>) { add(part, areColumns: true) }

  /// Adds a part in which vectors are rows.
  public mutating func add(rows part: UnsafeBufferPointer<Double>) { add(part, areColumns: false) }

  private mutating func add(_ part: UnsafeBufferPointer<Double>, areColumns: Bool) {
    precondition(count > 0 && part.count % count == 0, "\(part.count) numbers of \(count) vectors")
    let inner = part.count / count, order = count
    guard inner > 0 else { return }
    sums.elements.withUnsafeMutableBufferPointer {
      BLAS.addGram(
        part.baseAddress!, stride: areColumns ? order : inner, transposed: areColumns, order: order, inner: inner,
        to: $0.baseAddress!)
    }
    length += inner
  }

  /// ⟨xᵢ, xⱼ⟩, count × count, symmetric.
  var matrix: Matrix { sums.mirrored }
}

extension Matrix {
  /// Adds xᵀ·y for row-major x and y that have as many rows: the inner products of their columns.
  public mutating func addInnerProducts(
    ofColumns x: UnsafeBufferPointer<Double>, _ y: UnsafeBufferPointer<Double>
  ) {
    let inner = x.count / rows, rows = rows, columns = columns
    precondition(x.count == inner * rows && y.count == inner * columns, "columns of different lengths")
    guard inner > 0 else { return }
    elements.withUnsafeMutableBufferPointer {
      BLAS.multiply(
        x.baseAddress!, rows, y.baseAddress!, columns, transposed: false, rows: rows, inner: inner, columns: columns,
        addingTo: 1, transposingA: true, into: $0.baseAddress!, columns)
    }
  }

  /// Adds x·yᵀ for row-major x and a part of longer rows y: the inner products of their rows.
  ///
  /// - Parameters:
  ///   - y: as many rows as this matrix has columns.
  ///   - part: the columns of y that x has.
  public mutating func addInnerProducts(
    ofRows x: UnsafeBufferPointer<Double>, _ y: UnsafeBufferPointer<Double>, columns part: Range<Int>
  ) {
    let length = y.count / columns, rows = rows, columns = columns
    precondition(x.count == part.count * rows && part.upperBound <= length, "rows of different lengths")
    guard !part.isEmpty else { return }
    elements.withUnsafeMutableBufferPointer {
      BLAS.multiply(
        x.baseAddress!, part.count, y.baseAddress! + part.lowerBound, length, transposed: true, rows: rows,
        inner: part.count, columns: columns, addingTo: 1, into: $0.baseAddress!, columns)
    }
  }

  /// A symmetric matrix, of which this one has the upper half.
  var mirrored: Matrix {
    mapped(rows, columns) { source, target in
      for i in 0..<rows {
        for j in 0..<i { target[i * columns + j] = source[j * columns + i] }
        for j in i..<columns { target[i * columns + j] = source[i * columns + j] }
      }
    }
  }
}
