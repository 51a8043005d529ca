/// A dense m × n matrix of single-precision numbers, row-major, that is only looked at.
public struct DenseMatrix {
  let base: UnsafePointer<Float>
  /// m, at least 1.
  public let rows: Int
  /// n, at least 1.
  public let columns: Int

  /// - Precondition: the buffer holds `rows` × `columns` numbers, and stays as long as this value is used.
  public init(_ elements: UnsafeBufferPointer<Float>, rows: Int, columns: Int) {
    precondition(rows > 0 && columns > 0 && elements.count == rows * columns, "\(rows) × \(columns) numbers are needed")
    (base, self.rows, self.columns) = (elements.baseAddress!, rows, columns)
  }

  /// The most singular values there can be: min(m, n).
  public var fullRank: Int { min(rows, columns) }

  /// ‖A‖²_F, summed in double precision. Not finite when an element is not.
  public var energy: Double {
    UnsafeBufferPointer(start: base, count: rows * columns).sumOfSquares
  }

  /// How many rows or columns are widened at a time.
  static let panelSize = 384

  /// Calls `body` for the rows, some at a time, widened to doubles: (first row, count, count × n numbers).
  func forEachRowPanel(
    _ memory: ReusableMemory<Double>, _ body: (Int, Int, UnsafeMutablePointer<Double>) -> Void
  ) {
    for start in stride(from: 0, to: rows, by: Self.panelSize) {
      let count = min(Self.panelSize, rows - start), target = memory.room(for: count * columns).baseAddress!
      Self.widen(base + start * columns, count * columns, to: target)
      body(start, count, target)
    }
  }

  /// Calls `body` for the columns, some at a time, widened to doubles: (first column, count, m × count numbers).
  func forEachColumnPanel(
    _ memory: ReusableMemory<Double>, _ body: (Int, Int, UnsafeMutablePointer<Double>) -> Void
  ) {
    for start in stride(from: 0, to: columns, by: Self.panelSize) {
      let count = min(Self.panelSize, columns - start), target = memory.room(for: rows * count).baseAddress!
      for i in 0..<rows { Self.widen(base + i * columns + start, count, to: target + i * count) }
      body(start, count, target)
    }
  }

  private static func widen(_ source: UnsafePointer<Float>, _ count: Int, to target: UnsafeMutablePointer<Double>) {
    for i in 0..<count { target[i] = Double(source[i]) }
  }
}

extension DenseMatrix {
  /// ‖A − scale · up · down‖²_F, formed element by element in double precision: no difference of large numbers.
  ///
  /// - Parameters:
  ///   - up: m × r, row-major.
  ///   - down: r × n, row-major.
  public func squaredDistance(
    toProductOf up: UnsafeBufferPointer<Double>, _ down: UnsafeBufferPointer<Double>, rank: Int, scale: Double,
    _ memory: ReusableMemory<Double>
  ) -> Double {
    precondition(up.count == rows * rank && down.count == rank * columns, "factors of wrong size")
    guard rank > 0 else { return energy }
    var sum = 0.0
    forEachRowPanel(memory) { start, count, panel in
      BLAS.multiply(
        up.baseAddress! + start * rank, rank, down.baseAddress!, columns, transposed: false, rows: count, inner: rank,
        columns: columns, factor: -scale, addingTo: 1, into: panel, columns)
      for i in 0..<count * columns { sum += panel[i] * panel[i] }
    }
    return sum
  }
}

extension UnsafeBufferPointer<Float> {
  /// Σx² in double precision, in a fixed order of its own.
  public var sumOfSquares: Double {
    var sums = SIMD8<Double>(), index = 0
    while index + 8 <= count {
      let part = SIMD8<Double>(UnsafeRawPointer(baseAddress! + index).loadUnaligned(as: SIMD8<Float>.self))
      sums += part * part
      index += 8
    }
    var sum = sums.sum()
    while index < count {
      sum += Double(self[index]) * Double(self[index])
      index += 1
    }
    return sum
  }
}
