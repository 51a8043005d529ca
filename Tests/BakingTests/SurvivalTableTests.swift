import Codecs
import Tensors
import TestSupport
import Testing

/// Measures how much of a small delta reaches the codes of each format, on normal weights (σ = 0.03, 512 × 3072) that the format's
/// own quantiser has made, with deltas of rank 16.
///
/// The expectations were measured with an implementation in numpy, on other random numbers.
@Suite struct SurvivalTableTests {
  /// A line of the table: survival by the nearest code, at random, and shaped, at ‖Δ‖ ÷ ‖W‖ of 1 % and 0.3 %; and what shaped
  /// rounding leaves of error in the directions that the adapter reads, for 1 %.
  struct Line: Sendable, CustomTestStringConvertible {
    let format: BlockFormat
    let nearest: [Double], stochastic: [Double], shaped: [Double]
    let heard: Double
    var testDescription: String { format.name }
  }

  static let lines = [
    Line(format: .q8_0, nearest: [0.96, 0.12], stochastic: [0.98, 0.98], shaped: [1.00, 0.99], heard: 0.003),
    Line(format: .q6_k, nearest: [0.11, 0], stochastic: [0.98, 0.97], shaped: [0.99, 0.97], heard: 0.013),
    Line(format: .q5_k, nearest: [0, 0], stochastic: [0.96, 0.97], shaped: [0.98, 0.94], heard: 0.027),
    Line(format: .q5_1, nearest: [0, 0], stochastic: [0.96, 0.97], shaped: [0.98, 0.94], heard: 0.027),
    Line(format: .q5_0, nearest: [0, 0], stochastic: [0.98, 0.98], shaped: [0.98, 0.94], heard: 0.029),
    Line(format: .q4_k, nearest: [0, 0], stochastic: [0.96, 0.96], shaped: [0.96, 0.88], heard: 0.054),
    Line(format: .iq4_nl, nearest: [0, 0], stochastic: [0.96, 0.96], shaped: [0.97, 0.90], heard: 0.049),
    Line(format: .iq4_xs, nearest: [0, 0], stochastic: [0.96, 0.96], shaped: [0.97, 0.90], heard: 0.049),
    Line(format: .q4_0, nearest: [0, 0], stochastic: [0.96, 0.96], shaped: [0.96, 0.88], heard: 0.055),
    Line(format: .q4_1, nearest: [0, 0], stochastic: [0.96, 0.96], shaped: [0.96, 0.88], heard: 0.055),
    Line(format: .q3_k, nearest: [0, 0], stochastic: [0.92, 0.92], shaped: [0.93, 0.80], heard: 0.093),
    Line(format: .q2_k, nearest: [0, 0], stochastic: [0.83, 0.83], shaped: [0.87, 0.60], heard: 0.18),
  ]

  private static let rows = 256, columns = 3072, rank = 16

  @Test(arguments: lines) func survival(line: Line) throws {
    let rows = Self.rows, columns = Self.columns, rank = Self.rank, count = rows * columns
    var random = SplitMix64(seed: 10)
    let weights = (0..<count).map { _ in Float(0.03 * random.gaussian()) }
    var blocks = [UInt8](repeating: 0, count: count / line.format.elements * line.format.bytes)
    weights.withUnsafeBufferPointer { numbers in
      blocks.withUnsafeMutableBytes { line.format.encode(numbers, into: $0) }
    }
    let codec = BlockCodec(line.format, rows: rows, columns: columns, bytes: Bytes(copying: blocks))
    let grid = try #require(codec.grid), base = codec.tensor(shape: [rows, columns]).floats()
    var places = [UInt8](repeating: 0, count: count), steps = [Float](repeating: 0, count: count)
    grid.read(rows: 0..<rows, places: &places, steps: &steps)

    let directions = random.orthonormal(rank, columns).map(Float.init)
    let up = random.gaussians(rows * rank)
    var delta = [Float](repeating: 0, count: count)
    for i in 0..<rows {
      for k in 0..<rank {
        for j in 0..<columns { delta[i * columns + j] += Float(up[i * rank + k]) * directions[k * columns + j] }
      }
    }
    func norm(_ values: [Float]) -> Double { values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot() }
    let size = norm(base) / norm(delta)
    for (column, share) in [0.01, 0.003].enumerated() {
      let own = delta.map { $0 * Float(share * size) }
      func rounded(_ body: (inout [UInt8], inout Survival) -> Void) -> (places: [UInt8], survival: Double) {
        var result = places, survival = Survival()
        body(&result, &survival)
        return (result, survival.share ?? .nan)
      }
      let nearest = rounded {
        grid.roundNearest(&$0, steps: steps, base: base, delta: own, count: count, counting: &$1)
      }
      let stochastic = rounded {
        grid.roundStochastically(
          &$0, steps: steps, base: base, delta: own, count: count, seed: 1, first: 0, counting: &$1)
      }
      let space = ShapingSpace(directions: directions, rank: rank, columns: columns)
      let shaped = rounded {
        grid.roundShaped(&$0, steps: steps, base: base, delta: own, rows: rows, space: space, counting: &$1)
      }
      #expect((nearest.survival - line.nearest[column]).magnitude < 0.02, "nearest, \(share): \(nearest.survival)")
      // What is drawn is off by a few steps ÷ √(numbers) of the delta, which is smaller in the second column.
      #expect(
        (stochastic.survival - line.stochastic[column]).magnitude < [0.03, 0.06][column],
        "random, \(share): \(stochastic.survival)")
      #expect((shaped.survival - line.shaped[column]).magnitude < 0.02, "shaped, \(share): \(shaped.survival)")
      guard column == 0 else { continue }
      var bytes = blocks, result = shaped.places
      bytes.withUnsafeMutableBytes { grid.write(rows: 0..<rows, places: &result, into: $0) }
      let baked = BlockCodec(line.format, rows: rows, columns: columns, bytes: Bytes(copying: bytes))
        .tensor(shape: [rows, columns]).floats()
      var heard = 0.0
      for i in 0..<rows {
        for k in 0..<rank {
          let error = (0..<columns).reduce(0.0) { sum, j in
            let place = i * columns + j
            return sum + Double(baked[place] - base[place] - own[place]) * Double(directions[k * columns + j])
          }
          heard += error * error
        }
      }
      let error = heard.squareRoot() / norm(own)
      #expect((error - line.heard).magnitude < 0.2 * line.heard + 0.001, "heard: \(error)")
    }
  }
}
