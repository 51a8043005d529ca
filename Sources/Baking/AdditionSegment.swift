import Adapters
import Codecs
import LinearAlgebra
import Spectra
import Tensors

/// Rows of a stored weight to which the same targets add, with their factors made ready.
struct AdditionSegment {
  let rows: Range<Int>
  /// The products that are added, and the row of each that belongs to the segment's first.
  let products: [(product: DeltaRows, firstRow: Int)]
  /// The directions of all these deltas' inputs; only where they were asked for.
  let space: ShapingSpace?

  /// Cuts a weight of the given size into segments: all rows once, in order, those that nothing is added to as segments
  /// without products.
  static func segments(
    rows: Int, columns: Int, _ additions: [AdaptedWeights.Addition], shaping: Bool, on grid: CodeGrid?,
    _ workspace: FactorWorkspace
  ) throws -> [AdditionSegment] {
    // Deltas on the same rows are one product.
    var groups: [(rows: Range<Int>, additions: [AdaptedWeights.Addition])] = []
    for addition in additions {
      let range = addition.placement.isTransposed ? 0..<rows : addition.placement.storedRows
      if let place = groups.firstIndex(where: { $0.rows == range }) {
        groups[place].additions.append(addition)
      } else {
        groups.append((range, [addition]))
      }
    }
    let factors = try groups.map { group in
      try StackedFactors(
        group.additions.filter { $0.target.whole == nil }, rows: group.rows.count, columns: columns, workspace)
    }
    var products = zip(groups, factors).filter { $1.rank > 0 }.map { ($0.rows, DeltaRows.product($1.product)) }
    for group in groups {
      for addition in group.additions where addition.target.whole != nil {
        products.append((group.rows, .numbers(addition.wholeDelta(rows: group.rows.count, columns: columns), columns)))
      }
    }
    let borders = Set(groups.flatMap { [$0.rows.lowerBound, $0.rows.upperBound] } + [0, rows]).sorted()
    return try zip(borders, borders.dropFirst()).map { start, end in
      let covering = products.filter { $0.0.contains(start) }
      let factored = zip(groups, factors).filter { $0.0.rows.contains(start) && $0.1.rank > 0 }.map(\.1)
      return AdditionSegment(
        rows: start..<end, products: covering.map { ($0.1, start - $0.0.lowerBound) },
        space: shaping && !factored.isEmpty ? try StackedFactors.space(of: factored, columns: columns, on: grid) : nil)
    }
  }
}

/// Rows of a delta.
enum DeltaRows {
  case product(FloatProduct)
  /// All numbers, and how many a row has.
  case numbers([Float], Int)

  func compute(rows: Range<Int>, into target: UnsafeMutablePointer<Float>) {
    switch self {
    case .product(let product): product.compute(rows: rows, into: target)
    case .numbers(let numbers, let columns):
      numbers.withUnsafeBufferPointer {
        target.update(from: $0.baseAddress! + rows.lowerBound * columns, count: rows.count * columns)
      }
    }
  }
}

extension AdaptedWeights.Addition {
  /// A delta of which no factors are known, as it is added to the weight's own rows.
  fileprivate func wholeDelta(rows: Int, columns: Int) -> [Float] {
    let values = target.whole!.doubles(), factor = strength * target.scale
    if placement.isTransposed {
      return (0..<rows * columns).map { Float(factor * values[$0 % columns * rows + $0 / columns]) }
    }
    let first = placement.deltaRows.lowerBound, half = placement.swapsHalves ? rows / 2 : 0
    return (0..<rows * columns).map {
      Float(factor * values[(first + ($0 / columns + half) % rows) * columns + $0 % columns])
    }
  }
}

/// The factors of several deltas side by side: Σ strength · scale · up · down as one product.
private struct StackedFactors {
  /// rows × rank, strengths and scales included.
  var up: [Float]
  /// rank × columns.
  var down: [Float]
  let rows: Int
  let columns: Int
  let rank: Int

  var product: FloatProduct { FloatProduct(up: up, down: down, rows: rows, columns: columns, rank: rank) }

  init(_ additions: [AdaptedWeights.Addition], rows: Int, columns: Int, _ workspace: FactorWorkspace) throws {
    let ranks = additions.map(\.target.rank)
    rank = ranks.reduce(0, +)
    (self.rows, self.columns) = (rows, columns)
    up = [Float](repeating: 0, count: rows * rank)
    down = [Float](repeating: 0, count: rank * columns)
    var start = 0
    for addition in additions {
      try place(addition, at: start, workspace)
      start += addition.target.rank
    }
  }

  private mutating func place(_ addition: AdaptedWeights.Addition, at start: Int, _ workspace: FactorWorkspace) throws {
    let target = addition.target, placement = addition.placement, r = target.rank
    let delta = try DeltaSum([.init(target, of: addition.file)])
    delta.load(into: workspace)
    let factor = addition.strength * target.scale
    let left = workspace.up, right = workspace.down
    if placement.isTransposed {
      // (up · down)ᵀ = downᵀ · upᵀ, whose columns are the delta's rows.
      for i in 0..<rows { for k in 0..<r { up[i * rank + start + k] = Float(factor * right[k * rows + i]) } }
      for k in 0..<r { for j in 0..<columns { down[(start + k) * columns + j] = Float(left[j * r + k]) } }
      return
    }
    let first = placement.deltaRows.lowerBound, half = placement.swapsHalves ? rows / 2 : 0
    for i in 0..<rows {
      let source = first + (i + half) % rows
      for k in 0..<r { up[i * rank + start + k] = Float(factor * left[source * r + k]) }
    }
    for k in 0..<r { for j in 0..<columns { down[(start + k) * columns + j] = Float(right[k * columns + j]) } }
  }

  /// An orthonormal basis of all rows of the down factors.
  static func space(of parts: [StackedFactors], columns: Int, on grid: CodeGrid?) throws -> ShapingSpace? {
    let rank = parts.reduce(0) { $0 + $1.rank }
    let rows = Matrix(rows: rank, columns: columns, elements: parts.flatMap { $0.down.map(Double.init) })
    let svd = try SingularValues(of: rows.timesTransposed(rows))
    // Eigenvalues of the Gram matrix are squares: half of the digits are left.
    guard let largest = svd.values.first, largest > 0 else { return nil }
    let kept = svd.values.prefix { $0 > 1e-10 * largest }
    let basis = svd.u.selecting(columns: 0..<kept.count).scalingColumns(by: kept.map { 1 / $0.squareRoot() })
      .transposedTimes(rows)
    var directions = basis.elements.map(Float.init)
    directions.withUnsafeMutableBufferPointer { grid?.rotate($0) }
    return ShapingSpace(
      directions: directions, rank: kept.count, columns: columns, lambda: grid?.shapingWeight ?? 1)
  }
}
