import LinearAlgebra

/// Orthogonal matrices from skew-symmetric ones, many small ones at a time: count × size × size.
///
/// Source: LyCORIS 4.1.3 (`functional/diag_oft.py`), kohya's `networks/oft.py`, PEFT 0.21 (`tuners/oft/layer.py`).
enum Cayley {
  /// B − Bᵀ of each block.
  static func skew(_ blocks: [Double], size: Int) -> [Double] {
    var result = blocks
    for start in stride(from: 0, to: blocks.count, by: size * size) {
      for i in 0..<size { for j in 0..<size { result[start + i * size + j] -= blocks[start + j * size + i] } }
    }
    return result
  }

  /// Blocks whose strict upper triangles are stored row by row.
  static func unpacked(_ triangles: [Double], size: Int) -> [Double] {
    let width = size * (size - 1) / 2
    var result: [Double] = []
    for start in stride(from: 0, to: triangles.count, by: max(width, 1)) {
      var block = [Double](repeating: 0, count: size * size), place = start
      for i in 0..<size {
        for j in i + 1..<max(size, i + 1) {
          (block[i * size + j], block[j * size + i]) = (triangles[place], -triangles[place])
          place += 1
        }
      }
      result += block
    }
    return result
  }

  /// (I + Q)·(I − Q)⁻¹ of each block.
  static func rotations(_ skew: [Double], size: Int) -> [Double] {
    var result: [Double] = []
    result.reserveCapacity(skew.count)
    for start in stride(from: 0, to: skew.count, by: size * size) {
      let q = Array(skew[start..<start + size * size])
      // Both factors are functions of Q, so their order does not matter.
      result += solve(identity(size, plus: q, times: -1), identity(size, plus: q, times: 1), size)
    }
    return result
  }

  /// I + 2Q + 2Q² + … of each block: the series of (I + Q)·(I − Q)⁻¹, cut as PEFT does for a number of terms. The last power
  /// counts once.
  static func series(_ skew: [Double], size: Int, terms: Int) -> [Double] {
    let last = terms > 2 ? max(terms - 1, 3) : 1
    var result: [Double] = []
    for start in stride(from: 0, to: skew.count, by: size * size) {
      let q = Array(skew[start..<start + size * size])
      var sum = identity(size, plus: q, times: terms > 1 ? 2 : 0), power = q
      for exponent in 2..<last + 1 {
        power = reproducibleProduct(power, q, rows: size, rank: size, columns: size)
        let factor = exponent == last ? 1.0 : 2.0
        for i in sum.indices { sum[i] += factor * power[i] }
      }
      result += sum
    }
    return result
  }

  private static func identity(_ size: Int, plus q: [Double], times factor: Double) -> [Double] {
    var result = q.map { $0 * factor }
    for i in 0..<size { result[i * size + i] += 1 }
    return result
  }

  /// X with A·X = B, by elimination with row exchanges. Of a skew Q, I − Q is never singular.
  private static func solve(_ a: [Double], _ b: [Double], _ size: Int) -> [Double] {
    var a = a, b = b
    for column in 0..<size {
      let pivot = (column..<size).max { abs(a[$0 * size + column]) < abs(a[$1 * size + column]) }!
      if pivot != column {
        for j in 0..<size {
          a.swapAt(pivot * size + j, column * size + j)
          b.swapAt(pivot * size + j, column * size + j)
        }
      }
      for row in column + 1..<max(size, column + 1) {
        let factor = a[row * size + column] / a[column * size + column]
        guard factor != 0 else { continue }
        for j in column..<size { a[row * size + j] -= factor * a[column * size + j] }
        for j in 0..<size { b[row * size + j] -= factor * b[column * size + j] }
      }
    }
    for row in (0..<size).reversed() {
      for column in row + 1..<max(size, row + 1) {
        let factor = a[row * size + column]
        for j in 0..<size { b[row * size + j] -= factor * b[column * size + j] }
      }
      for j in 0..<size { b[row * size + j] /= a[row * size + row] }
    }
    return b
  }
}
