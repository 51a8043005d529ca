import Tensors
import TestSupport
import Testing

/// Proves that the account of a rounding is what double precision says of the stored numbers, and that rounding at
/// random and shaped rounding take one of the two neighbours and keep the delta on average.
@Suite struct SurvivalTests {
  private static let formats: [DType] = [.f16, .bf16, .f8e4m3, .f8e5m2]

  /// Random weights on the format's grid and a delta of about two steps.
  private func sums(_ dtype: DType, count: Int, seed: UInt64, size: Float = 0.01) -> Sums {
    var generator = SplitMix64(seed: seed)
    let base = Tensor(generator.gaussians(count), shape: [count], dtype: dtype).floats()
    return Sums(base: base, delta: generator.gaussians(count).map { Float($0) * size })
  }

  private func values(_ codes: [Int], _ ladder: FormatLadder) -> [Double] {
    let top = 1 << (ladder.dtype.bits - 1)
    return codes.map { $0 & top == 0 ? ladder.values[$0] : -ladder.values[$0 & (top - 1)] }
  }

  @Test("sums over weights are those of double precision", arguments: formats, [0, 1, 2])
  func account(_ dtype: DType, _ way: Int) {
    let seed: UInt64 = 0xacc, ladder = FormatLadder(dtype)
    var sums = sums(dtype, count: 5003, seed: seed, size: 0.1)
    for scale in [1, 0.75] as [Float] {
      sums.scale = scale
      let (codes, found) = sums.rounded(dtype, [.nearest, .stochastic(seed: 1), .shaped][way])
      let stored = values(codes, ladder).map { $0 * Double(scale) }
      var expected = Survival()
      for (q, (w, d)) in zip(stored, zip(sums.base, sums.delta)) {
        expected.deltaEnergy += Double(d) * Double(d)
        expected.projection += (q - Double(w)) * Double(d)
        expected.residualEnergy += (q - Double(w + d)) * (q - Double(w + d))
        expected.movedCount += q != Double(w) ? 1 : 0
      }
      func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-5 * expected.deltaEnergy.magnitude }
      #expect(isClose(found.deltaEnergy, expected.deltaEnergy), "seed \(seed)")
      #expect(isClose(found.projection, expected.projection), "seed \(seed)")
      #expect(abs(found.residualEnergy - expected.residualEnergy) <= 1e-5 * expected.residualEnergy, "seed \(seed)")
      #expect(found.movedCount == expected.movedCount && found.count == 5003, "seed \(seed)")
    }
  }

  @Test("random and shaped rounding take one of the two neighbours; numbers of the format stay", arguments: formats)
  func neighbours(_ dtype: DType) {
    let ladder = FormatLadder(dtype)
    var sums = sums(dtype, count: 4000, seed: 3)
    for index in 0..<500 { sums.delta[index] = 0 }
    for way in [.stochastic(seed: 77), .shaped] as [Sums.Way] {
      let codes = sums.rounded(dtype, way).codes
      for (index, (code, total)) in zip(codes, sums.totals).enumerated() {
        let size = Double(total.magnitude), below = ladder.below(size), own = code & (1 << (dtype.bits - 1) - 1)
        let isNeighbour = own == below || own == below + 1 && ladder.values[below] < size
        guard isNeighbour, size == 0 || (code != own) == (total < 0) else {
          Issue.record("\(way): \(total) became code \(code), element \(index)")
          break
        }
      }
    }
  }

  @Test("rounding at random has the right mean", arguments: formats)
  func unbiased(_ dtype: DType) {
    let seed: UInt64 = 0xfa1, ladder = FormatLadder(dtype), count = 100_000
    for (value, isNegative) in [(1.0, false), (0.013, true), (ladder.values[2], false), (3.1, true)] {
      for share in [0.02, 0.3, 0.5, 0.91] {
        let below = ladder.below(value), low = ladder.values[below], step = ladder.step(below)
        let sign: Float = isNegative ? -1 : 1, total = Float(low + share * step)
        let sums = Sums(
          base: [Float](repeating: sign * total, count: count), delta: [Float](repeating: 0, count: count))
        let stored = values(sums.rounded(dtype, .stochastic(seed: seed)).codes, ladder)
        let mean = stored.reduce(0, +) / Double(count), p = (Double(total) - low) / step
        let z = (mean - Double(sign * total)) / (step * (p * (1 - p) / Double(count)).squareRoot())
        #expect(abs(z) <= 4.5, "seed \(seed): \(value) + \(share) steps: \(z) deviations")
      }
    }
  }

  @Test("a draw belongs to the counter, not to the call", arguments: formats)
  func counter(_ dtype: DType) {
    let sums = sums(dtype, count: 3001, seed: 6, size: 0.003)
    let whole = sums.rounded(dtype, .stochastic(seed: 5), first: 100)
    var parts: [Int] = [], start = 0, survival = Survival()
    for length in [1, 15, 16, 33, 900, 1024, 1012] {
      let part = Sums(
        base: Array(sums.base[start..<start + length]), delta: Array(sums.delta[start..<start + length]))
      let (codes, own) = part.rounded(dtype, .stochastic(seed: 5), first: 100 + start)
      parts += codes
      survival += own
      start += length
    }
    #expect(start == 3001 && parts == whole.codes)
    #expect(survival.count == 3001 && survival.movedCount == whole.survival.movedCount)
    let other = sums.rounded(dtype, .stochastic(seed: 6), first: 100).codes
    #expect(zip(other, whole.codes).count { $0 != $1 } > 100)
    #expect(sums.rounded(dtype, .stochastic(seed: 5), first: 100).codes == whole.codes)
  }

  // MARK: Shaped rounding

  struct Row: Sendable {
    let dtype: DType
    let size: Double
    let nearest: (projection: Double, inSpace: Double)
    let shaped: (projection: Double, inSpace: Double)
  }

  /// Measured with other code on other random numbers: weights of 1024 inputs, 16 directions.
  static let table = [
    Row(dtype: .bf16, size: 3e-3, nearest: (0.931, 0.10), shaped: (0.998, 0.011)),
    Row(dtype: .bf16, size: 1e-3, nearest: (0.533, 0.48), shaped: (0.984, 0.029)),
    Row(dtype: .f8e4m3, size: 3e-2, nearest: (0.795, 0.23), shaped: (0.994, 0.016)),
    Row(dtype: .f8e4m3, size: 1e-2, nearest: (0.362, 0.65), shaped: (0.974, 0.041)),
  ]

  @Test("shaped rounding keeps small deltas, as the published table says", arguments: table)
  func shaped(_ row: Row) {
    let seed: UInt64 = 0x5a4d, rows = 48, columns = 1024, rank = 16, count = rows * columns
    var generator = SplitMix64(seed: seed)
    let directions = generator.orthonormal(rank, columns)
    let up = generator.gaussians(rows * rank)
    var delta = Dense.product(up, directions, rows: rows, inner: rank, columns: columns)
    let weights = generator.gaussians(count)
    let scale = row.dtype.bits == 8 ? weights.map(abs).max()! / 448 : 1
    let base = Tensor(weights.map { $0 / scale }, shape: [count], dtype: row.dtype).doubles().map { $0 * scale }
    let factor = row.size * Dense.norm(base) / Dense.norm(delta)
    for i in 0..<count { delta[i] *= factor }
    let sums = Sums(base: base.map { Float($0) }, delta: delta.map { Float($0) }, scale: Float(scale))
    let space = ShapingSpace(directions: directions.map { Float($0) }, rank: rank, columns: columns)

    let nearest = sums.rounded(row.dtype)
    var survival = Survival(), output = [UInt8](repeating: 0, count: count * row.dtype.bits / 8)
    let scales = [Float](repeating: Float(scale), count: rows)
    output.withUnsafeMutableBytes { out in
      scales.withUnsafeBufferPointer {
        SumRounding(row.dtype)!.roundShaped(
          base: sums.base, delta: sums.delta, scales: $0, rows: rows, space: space, into: out.baseAddress!,
          counting: &survival)
      }
    }
    func inSpace(_ stored: [Double]) -> Double {
      let error = zip(stored, zip(base, delta)).map { $0 * scale - ($1.0 + $1.1) }
      let heard = Dense.product(
        error, Dense.transposed(directions, rows: rank, columns: columns), rows: rows, inner: columns, columns: rank)
      return Dense.norm(heard) / Dense.norm(delta)
    }
    let plain = inSpace(values(nearest.codes, FormatLadder(row.dtype)))
    let kept = inSpace(Tensor(dtype: row.dtype, shape: [count], bytes: Bytes(copying: output)).doubles())
    let share = survival.share ?? .nan, plainShare = nearest.survival.share ?? .nan
    #expect(abs(plainShare - row.nearest.projection) <= 0.04, "seed \(seed): nearest \(plainShare)")
    #expect(abs(plain - row.nearest.inSpace) <= 0.1 * row.nearest.inSpace, "seed \(seed): nearest \(plain)")
    #expect((0.95...1.02).contains(share) && abs(share - row.shaped.projection) <= 0.02, "seed \(seed): \(share)")
    #expect(kept <= 1.25 * row.shaped.inSpace, "seed \(seed): shaped \(kept)")
  }

  @Test("rows are shaped apart from each other, whatever their number in a call")
  func batches() {
    let rows = 35, columns = 50, rank = 3
    var generator = SplitMix64(seed: 21)
    let directions = generator.orthonormal(rank, columns).map { Float($0) }
    let space = ShapingSpace(directions: directions, rank: rank, columns: columns)
    let sums = sums(.bf16, count: rows * columns, seed: 22, size: 0.002)
    let scales = (0..<rows).map { 1 + Float($0 % 3) / 4 }
    func rounded(_ range: Range<Int>) -> [UInt8] {
      var survival = Survival(), output = [UInt8](repeating: 0, count: range.count * columns * 2)
      let part = range.lowerBound * columns..<range.upperBound * columns
      output.withUnsafeMutableBytes { out in
        Array(scales[range]).withUnsafeBufferPointer {
          SumRounding(.bf16)!.roundShaped(
            base: Array(sums.base[part]), delta: Array(sums.delta[part]), scales: $0, rows: range.count, space: space,
            into: out.baseAddress!, counting: &survival)
        }
      }
      #expect(survival.count == range.count * columns)
      return output
    }
    #expect(rounded(0..<rows) == (0..<rows).flatMap { rounded($0..<$0 + 1) })
    #expect(rounded(0..<rows) == rounded(0..<17) + rounded(17..<rows))
  }
}
