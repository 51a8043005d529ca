import CArithmetic

/// A product up · down in single precision, of which rows are computed on demand: m × r and r × n, row-major.
///
/// Every element is a chain of fused multiply-adds in one fixed order, so that it has the same bits on every machine and
/// whatever else is computed beside it: what follows from it is reproducible, which a BLAS does not promise.
public struct FloatProduct: Sendable {
  /// Rows of the product and of `up`.
  public let rows: Int
  /// Columns of the product and of `down`.
  public let columns: Int
  /// Columns of `up`, rows of `down`: the multiply-adds of each element.
  public let rank: Int
  private let up: [Float]
  private let down: [Float]

  /// Keeps the factors, rows × rank and rank × columns, row-major; nothing is computed yet.
  public init(up: [Float], down: [Float], rows: Int, columns: Int, rank: Int) {
    precondition(up.count == rows * rank && down.count == rank * columns, "factors for \(rows) × \(rank) × \(columns)")
    (self.up, self.down) = (up, down)
    (self.rows, self.columns, self.rank) = (rows, columns, rank)
  }

  /// Writes some rows of the product to `target`. 2·r operations for each element.
  public func compute(rows range: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
    up.withUnsafeBufferPointer { up in
      down.withUnsafeBufferPointer { down in
        lathe_product(
          up.baseAddress! + range.lowerBound * rank, down.baseAddress!, range.count, rank, columns, target)
      }
    }
  }
}

/// The product of two row-major matrices in double precision, m × r and r × n: with the same bits on every machine, as
/// `FloatProduct` has.
public func reproducibleProduct(_ up: [Double], _ down: [Double], rows: Int, rank: Int, columns: Int) -> [Double] {
  precondition(up.count == rows * rank && down.count == rank * columns, "factors for \(rows) × \(rank) × \(columns)")
  return [Double](unsafeUninitializedCapacity: rows * columns) { target, count in
    up.withUnsafeBufferPointer { up in
      down.withUnsafeBufferPointer { down in
        guard rows * columns > 0 else { return }
        lathe_product_double(up.baseAddress, down.baseAddress, rows, rank, columns, target.baseAddress!)
      }
    }
    count = rows * columns
  }
}
