import LinearAlgebra
import TestSupport

/// Two random factors and the weights between them, with everything about their product computed densely.
struct Product: CustomStringConvertible, Sendable {
  enum Kind: CaseIterable, Sendable {
    case random, weighted, zeroComponents, unevenGauge, duplicated, graded, graduallyDependent
  }

  let kind: Kind
  let seed: UInt64
  let rows: Int
  let columns: Int
  let rank: Int
  var up: [Double]
  var down: [Double]
  var weights: [Double]

  var description: String { "\(kind) \(rows) × \(columns), rank \(rank), seed \(seed)" }

  init(_ kind: Kind, rows: Int, columns: Int, rank: Int, seed: UInt64) {
    (self.kind, self.seed, self.rows, self.columns, self.rank) = (kind, seed, rows, columns, rank)
    var generator = SplitMix64(seed: seed)
    up = generator.gaussians(rows * rank)
    down = generator.gaussians(rank * columns)
    weights = [Double](repeating: 1, count: rank)
    for j in 0..<rank {
      switch kind {
      case .random: break
      case .weighted: weights[j] = j % 3 == 2 ? 0 : generator.gaussian()
      case .zeroComponents:
        if generator.below(3) == 0 { scaleUp(j, by: 0) }
        if generator.below(3) == 0 { scaleDown(j, by: 0) }
      case .unevenGauge:
        let size = Double(sign: .plus, exponent: generator.below(81) - 40, significand: 1)
        scaleUp(j, by: size)
        scaleDown(j, by: 1 / size)
      case .duplicated:
        guard j > 0, j % 2 == 1 else { continue }
        for i in 0..<rows { up[i * rank + j] = up[i * rank + j - 1] }
        if j % 4 == 3 { for i in 0..<columns { down[j * columns + i] = down[(j - 1) * columns + i] } }
      case .graded: scaleUp(j, by: Double(sign: .plus, exponent: -generator.below(27), significand: 1))
      case .graduallyDependent:
        // Column j leans towards column 0 until nothing of its own is left: condition numbers of all sizes.
        let own = Double(sign: .plus, exponent: -3 * j, significand: 1)
        for i in 0..<rows where j > 0 { up[i * rank + j] = up[i * rank] + own * up[i * rank + j] }
      }
    }
  }

  private mutating func scaleUp(_ j: Int, by factor: Double) { for i in 0..<rows { up[i * rank + j] *= factor } }
  private mutating func scaleDown(_ j: Int, by factor: Double) {
    for i in 0..<columns { down[j * columns + i] *= factor }
  }

  /// up · diag(w) · down, row-major.
  func dense(weights: [Double]) -> [Double] {
    let weighted = up.enumerated().map { $1 * weights[$0 % rank] }
    return Dense.product(weighted, down, rows: rows, inner: rank, columns: columns)
  }

  /// The core of copies of the factors, which it may overwrite.
  func core() throws -> ProductCore {
    var up = up
    var down = down
    return try up.withUnsafeMutableBufferPointer { up in
      try down.withUnsafeMutableBufferPointer { down in
        try ProductCore(up: up, down: down, rows: rows, columns: columns, rank: rank)
      }
    }
  }

  /// The factors after the maps: rows × k and k × columns.
  func mapped(by maps: FactorMaps) -> (up: [Double], down: [Double]) {
    var newUp = [Double](repeating: .nan, count: rows * maps.rank)
    var newDown = [Double](repeating: .nan, count: maps.rank * columns)
    up.withUnsafeBufferPointer { source in
      newUp.withUnsafeMutableBufferPointer { maps.mapUp(source, rows: rows, into: $0) }
    }
    down.withUnsafeBufferPointer { source in
      newDown.withUnsafeMutableBufferPointer { maps.mapDown(source, columns: columns, into: $0) }
    }
    return (newUp, newDown)
  }

  /// Every kind in sizes from 1 × 1 to 40 × 40, ranks below, at and above the sides.
  static let all: [Product] = Kind.allCases.flatMap { kind -> [Product] in
    let small = (1...3).flatMap { m in (1...3).flatMap { n in (1...5).map { (m, n, $0) } } }
    var generator = SplitMix64(seed: 0x517e5)
    let large = (0..<16).map { _ in (1 + generator.below(40), 1 + generator.below(40), 1 + generator.below(50)) }
    return (small + large + [(40, 40, 40), (40, 30, 8), (7, 40, 16)]).enumerated().map { index, size in
      Product(kind, rows: size.0, columns: size.1, rank: size.2, seed: UInt64(index))
    }
  }
}
