import CArithmetic
public import Tensors

/// The grid that a stored weight's numbers lie on: which codes they have, and how far apart the codes are.
///
/// A weight is changed on its own grid: steps and offsets stay, and numbers move to other codes. So whatever nothing is added to
/// keeps its bytes.
public struct CodeGrid: Sendable {
  /// Codes by what they stand for.
  public let order: CodeOrder
  /// How many inputs are rotated together, where the codes are those of the rotated weight; `nil` for codes of the weight itself.
  public private(set) var rotation: Int?
  private let source: any CodeSource

  init(_ order: CodeOrder, _ source: any CodeSource) { (self.order, self.source) = (order, source) }

  func rotated(by group: Int) -> CodeGrid {
    var result = self
    result.rotation = group
    return result
  }

  /// Reads where numbers of rows lie.
  ///
  /// - Parameters:
  ///   - places: of their codes, row-major.
  ///   - steps: between whole values of their codes.
  /// - Precondition: both have room for the rows.
  public func read(
    rows: Range<Int>, places: UnsafeMutablePointer<UInt8>, steps: UnsafeMutablePointer<Float>
  ) {
    source.read(rows: rows, codes: places, steps: steps)
    order.places(of: places, count: rows.count * source.columns)
  }

  /// Puts the codes of rows into a copy of the stored weight.
  ///
  /// - Parameters:
  ///   - places: row-major; they are codes afterwards.
  ///   - bytes: all that is stored of the weight; other rows, and what stands between codes, stay.
  public func write(
    rows: Range<Int>, places: UnsafeMutablePointer<UInt8>, into bytes: UnsafeMutableRawBufferPointer
  ) {
    order.codes(of: places, into: places, count: rows.count * source.columns)
    source.write(rows: rows, codes: places, into: bytes)
  }

  /// Turns rows of a change to the weight into one of what the codes stand for, in place.
  public func rotate(_ numbers: UnsafeMutableBufferPointer<Float>) {
    if let rotation, let base = numbers.baseAddress { lathe_rotate(base, numbers.count, rotation) }
  }

  /// What numbers change by whose places do, as what the codes stand for.
  public func readChange(
    from before: UnsafePointer<UInt8>, to places: UnsafePointer<UInt8>, steps: UnsafePointer<Float>,
    into change: UnsafeMutableBufferPointer<Float>
  ) {
    let values = order.values
    for i in change.indices { change[i] = (values[Int(places[i])] - values[Int(before[i])]) * steps[i] }
  }

  // MARK: Rounding

  /// Moves places to those nearest to base + delta.
  ///
  /// What nothing is added to stays, and so does what has a step of 0, which counts as clamped.
  /// - Parameter base: what the places stand for; only looked at for numbers that are not finite.
  public func roundNearest(
    _ places: UnsafeMutablePointer<UInt8>, steps: UnsafePointer<Float>, base: UnsafePointer<Float>,
    delta: UnsafePointer<Float>, count: Int, counting survival: inout Survival
  ) {
    withTable { table in
      survival.account(count) { lathe_recode_nearest(table, places, steps, base, delta, count, $0) }
    }
  }

  /// The same, to one of the two neighbours at random; number i draws from counter `first + i` of the generator `seed`.
  public func roundStochastically(
    _ places: UnsafeMutablePointer<UInt8>, steps: UnsafePointer<Float>, base: UnsafePointer<Float>,
    delta: UnsafePointer<Float>, count: Int, seed: UInt64, first: Int, counting survival: inout Survival
  ) {
    withTable { table in
      survival.account(count) {
        lathe_recode_stochastic(table, places, steps, base, delta, count, seed, UInt64(first), $0)
      }
    }
  }

  /// The same, with the error kept out of the directions of `space`.
  public func roundShaped(
    _ places: UnsafeMutablePointer<UInt8>, steps: UnsafePointer<Float>, base: UnsafePointer<Float>,
    delta: UnsafePointer<Float>, rows: Int, space: ShapingSpace, counting survival: inout Survival
  ) {
    let columns = space.columns
    withTable { table in
      for row in stride(from: 0, to: rows, by: 16) {
        let batch = min(16, rows - row), place = row * columns
        survival.account(batch * columns) {
          lathe_recode_shaped(
            table, places + place, steps + place, base + place, delta + place, batch, columns, space.directions,
            space.weights, space.rank, $0)
        }
      }
    }
  }

  private func withTable(_ body: (UnsafePointer<lathe_code_order>) -> Void) {
    withUnsafePointer(to: order.table, body)
  }

  /// What an error counts beside what is heard of it in the delta's directions. Coarse formats have few choices, and a smaller
  /// weight lets more of a small delta through: measured on normal weights with deltas of rank 16.
  public var shapingWeight: Float { order.count <= 32 ? 0.3 : 1 }
}

/// Where the codes of a weight stand.
protocol CodeSource: Sendable {
  /// Of the weight.
  var columns: Int { get }

  /// Reads codes and steps of rows, a number each.
  func read(rows: Range<Int>, codes: UnsafeMutablePointer<UInt8>, steps: UnsafeMutablePointer<Float>)

  /// Writes codes of rows into all that is stored of the weight, and nothing else.
  func write(rows: Range<Int>, codes: UnsafePointer<UInt8>, into bytes: UnsafeMutableRawBufferPointer)
}
