import Adapters
import Factoring
import LinearAlgebra
import Spectra
import Tensors

/// The factors of one output target in double precision, exactly as the sources have them: nothing is multiplied yet.
struct ConvertFactors {
  /// Components or rows that belong to one source, and that source's scale.
  struct Group {
    let components: Range<Int>
    let rows: Range<Int>
    let scale: Double
  }

  let target: ConvertTarget
  /// Rows × components.
  private(set) var up: [Double]
  /// Components × columns; beside a core that stays, the core's second rank × inputs.
  private(set) var down: [Double]
  private(set) var groups: [Group] = []

  /// - Throws: `FactoringError.notFinite` for factors with NaN or infinity.
  init(_ target: ConvertTarget, _ workspace: FactorWorkspace, path: String) throws {
    self.target = target
    let rank = target.rank, columns = target.columns
    up = [Double](repeating: 0, count: target.rows * rank)
    down = []
    if target.keepsMid {
      let source = target.parts[0].source
      (up, down) = (source.up.doubles(), source.down.doubles())
      groups = [Group(components: 0..<rank, rows: 0..<target.rows, scale: source.scale)]
    } else {
      down = [Double](repeating: 0, count: rank * columns)
      for part in target.parts { try add(part, rank: rank, columns: columns, workspace, path: path) }
    }
    for (values, name) in [(up, target.parts[0].source.names.up), (down, target.parts[0].source.names.down)] {
      let count = values.count { !$0.isFinite }
      guard count == 0 else { throw FactoringError(.notFinite(tensor: name, count: count), path: path) }
    }
  }

  private mutating func add(
    _ part: ConvertTarget.Part, rank: Int, columns: Int, _ workspace: FactorWorkspace, path: String
  ) throws {
    let sum = try DeltaSum([.init(part.source, of: path)])
    sum.load(into: workspace)
    let own = part.source.rank, count = part.components.count
    let first = target.sharesDown ? 0 : groups.last?.components.upperBound ?? 0
    for row in 0..<part.rows.count {
      let half = part.swapsHalves ? (row + part.rows.count / 2) % part.rows.count : row
      let from = (part.sourceRows.lowerBound + half) * own, to = (part.rows.lowerBound + row) * rank + first
      for (place, component) in part.components.enumerated() { up[to + place] = workspace.up[from + component] }
    }
    if !target.sharesDown || groups.isEmpty {
      for (place, component) in part.components.enumerated() {
        for column in 0..<columns {
          down[(first + place) * columns + column] = workspace.down[component * columns + column]
        }
      }
    }
    groups.append(
      Group(
        components: first..<first + count, rows: target.sharesDown ? part.rows : 0..<target.rows,
        scale: part.source.scale))
  }

  /// Multiplies each group's columns of `up` and rows of `down`.
  mutating func multiply(by factors: [(up: Double, down: Double)]) {
    let rank = target.rank, columns = down.count / max(target.downShape[0], 1)
    for (group, factor) in zip(groups, factors) {
      if factor.up != 1 {
        for row in group.rows {
          for component in group.components { up[row * rank + component] *= factor.up }
        }
      }
      guard factor.down != 1 else { continue }
      // A core that stays has rows of down for its other rank, all of one source.
      let rows = target.keepsMid ? 0..<target.downShape[0] : group.components
      for place in rows.lowerBound * columns..<rows.upperBound * columns { down[place] *= factor.down }
    }
  }

  /// The values of one group's factors.
  func values(of group: Group) -> (up: [Double], down: [Double]) {
    guard groups.count > 1 else { return (up, down) }
    let rank = target.rank, columns = target.columns
    let ups = group.rows.flatMap { row in group.components.map { up[row * rank + $0] } }
    return (ups, Array(down[group.components.lowerBound * columns..<group.components.upperBound * columns]))
  }

  /// ‖Δ − Δ'‖ ÷ ‖Δ‖, Δ being scale · up · down of these factors and Δ' that of the written ones, whose scale is the same.
  ///
  /// Taken from the factors' own differences, so that it is exact down to the last bit, and 0 only when they agree.
  ///
  /// - Parameters:
  ///   - written: factors of the same shapes.
  ///   - cores: the Tucker core of the source and the written one, where it is a tensor of its own.
  func relativeError(
    up writtenUp: [Double], down writtenDown: [Double], cores: (own: Tensor, written: Tensor)?
  ) -> Double {
    let isSameCore = cores.map { $0.own.doubles() == $0.written.doubles() } ?? true
    if up == writtenUp, down == writtenDown, isSameCore { return 0 }
    let rank = target.rank, rows = target.rows
    var own = down, other = writtenDown
    if let cores {
      own = Self.expanded(cores.own, own, inputs: target.inputs)
      other = Self.expanded(cores.written, other, inputs: target.inputs)
    }
    let columns = own.count / rank
    // up·down − up'·down' = (up − up')·down + up'·(down − down')
    var ups = [Double](repeating: 0, count: rows * 2 * rank)
    for row in 0..<rows {
      for j in 0..<rank {
        ups[row * 2 * rank + j] = up[row * rank + j] - writtenUp[row * rank + j]
        ups[row * 2 * rank + rank + j] = writtenUp[row * rank + j]
      }
    }
    var downs = own + zip(own, other).map { $0 - $1 }, plainUp = up
    let lost = Self.norm(&ups, &downs, rows: rows, rank: 2 * rank, columns: columns)
    let whole = Self.norm(&plainUp, &own, rows: rows, rank: rank, columns: columns)
    return whole > 0 ? lost / whole : lost
  }

  /// ‖up · down‖², with a core between them where it is a tensor of its own.
  var squaredNorm: Double {
    var ups = up, downs = target.mid.map { Self.expanded($0, down, inputs: target.inputs) } ?? down
    let norm = Self.norm(&ups, &downs, rows: target.rows, rank: target.rank, columns: downs.count / target.rank)
    return norm * norm
  }

  private static func norm(
    _ up: inout [Double], _ down: inout [Double], rows: Int, rank: Int, columns: Int
  ) -> Double {
    up.withUnsafeMutableBufferPointer { up in
      down.withUnsafeMutableBufferPointer { down in
        let product = FactoredProduct(
          up: up, down: down, rows: rows, columns: columns, weights: [Double](repeating: 1, count: rank))
        return max(0, product.inner(product)).squareRoot()
      }
    }
  }

  /// Σ_q mid[p, q, k] · down[q, i] as the plain convolution's down factor.
  private static func expanded(_ mid: Tensor, _ down: [Double], inputs: Int) -> [Double] {
    let core = mid.doubles(), inner = mid.shape[1], size = mid.shape.extents.dropFirst(2).reduce(1, *)
    var result = [Double](repeating: 0, count: mid.shape[0] * inputs * size)
    for p in 0..<mid.shape[0] {
      for q in 0..<inner {
        for i in 0..<inputs {
          let factor = down[q * inputs + i]
          for k in 0..<size { result[(p * inputs + i) * size + k] += core[(p * inner + q) * size + k] * factor }
        }
      }
    }
    return result
  }
}
