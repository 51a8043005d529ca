import LinearAlgebra
import TestSupport
import Testing

/// Proves that a product has the bits of a plain chain of fused multiply-adds, whichever rows are asked for.
@Suite struct FloatProductTests {
  struct Size: Sendable, CustomTestStringConvertible {
    let rows: Int
    let rank: Int
    let columns: Int
    var testDescription: String { "\(rows) × \(rank) × \(columns)" }
  }

  static let sizes = [
    (1, 1, 1), (1, 0, 5), (3, 0, 33), (4, 1, 32), (5, 7, 33), (4, 128, 64), (7, 129, 31), (9, 127, 65), (13, 300, 97),
    (2, 256, 1), (33, 4, 3),
  ].map { Size(rows: $0.0, rank: $0.1, columns: $0.2) }

  private func factors(_ size: Size) -> (up: [Float], down: [Float]) {
    var generator = SplitMix64(seed: UInt64(size.rows * 1000 + size.rank))
    return (
      generator.gaussians(size.rows * size.rank).map { Float($0) },
      generator.gaussians(size.rank * size.columns).map { Float($0) }
    )
  }

  private func computed(_ product: FloatProduct, _ rows: Range<Int>) -> [UInt32] {
    // What was in the memory before must not matter.
    var result = [Float](repeating: .nan, count: rows.count * product.columns + 1)
    result.withUnsafeMutableBufferPointer { product.compute(rows: rows, into: $0.baseAddress!) }
    #expect(result.last!.isNaN, "one element too many was written")
    return result.dropLast().map(\.bitPattern)
  }

  @Test("the bits of the definition", arguments: sizes)
  func definition(_ size: Size) {
    let (up, down) = factors(size)
    let product = FloatProduct(up: up, down: down, rows: size.rows, columns: size.columns, rank: size.rank)
    var expected: [UInt32] = []
    for i in 0..<size.rows {
      for j in 0..<size.columns {
        var sum: Float = 0
        for k in 0..<size.rank { sum.addProduct(up[i * size.rank + k], down[k * size.columns + j]) }
        expected.append(sum.bitPattern)
      }
    }
    #expect(computed(product, 0..<size.rows) == expected)
  }

  @Test("any cut of the rows gives the same bits", arguments: sizes)
  func cuts(_ size: Size) {
    let (up, down) = factors(size)
    let product = FloatProduct(up: up, down: down, rows: size.rows, columns: size.columns, rank: size.rank)
    let whole = computed(product, 0..<size.rows)
    for height in 1...6 {
      let parts = stride(from: 0, to: size.rows, by: height).flatMap {
        computed(product, $0..<min($0 + height, size.rows))
      }
      #expect(parts == whole, "\(height) rows at a time")
    }
    #expect(computed(product, size.rows..<size.rows).isEmpty)
  }
}
