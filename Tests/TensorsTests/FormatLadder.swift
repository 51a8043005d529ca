import Tensors

/// All finite numbers of a stored format from zero upwards: the definition of neighbours to compare with.
struct FormatLadder {
  let dtype: DType
  /// By code; the sign bit is left out.
  let values: [Double]

  init(_ dtype: DType) {
    self.dtype = dtype
    let count = 1 << (dtype.bits - 1)
    let bytes =
      dtype.bits == 16 ? Bytes(copying: (0..<count).map { UInt16($0) }) : Bytes(copying: (0..<count).map { UInt8($0) })
    values = Array(Tensor(dtype: dtype, shape: [count], bytes: bytes).doubles().prefix { $0.isFinite })
  }

  /// The distance from a code's number to the next.
  func step(_ code: Int) -> Double {
    code + 1 < values.count ? values[code + 1] - values[code] : values[code] - values[code - 1]
  }

  /// The last code whose number is at most `size`.
  func below(_ size: Double) -> Int {
    var low = 0, high = values.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if values[middle] <= size { low = middle } else { high = middle }
    }
    return low
  }

  /// The nearest code, ties to even; one more than the last code where the next number would be nearer.
  func nearest(_ size: Double) -> Int {
    let low = below(size), above = values[low] + step(low)
    let (down, up) = (size - values[low], above - size)
    return down < up || down == up && low % 2 == 0 ? low : low + 1
  }
}

/// Arrays of single-precision numbers and what rounding makes of them.
struct Sums {
  var base: [Float]
  var delta: [Float]
  var scale: Float = 1

  var totals: [Float] { zip(base, delta).map { $0 + $1 } }
  /// Sums in units of the stored numbers.
  var stored: [Float] { totals.map { $0 * (scale == 0 ? 0 : 1 / scale) } }

  enum Way { case nearest, stochastic(seed: UInt64), shaped }

  /// Codes, sign bits included, and the account.
  func rounded(_ dtype: DType, _ way: Way = .nearest, first: Int = 0) -> (codes: [Int], survival: Survival) {
    let rounding = SumRounding(dtype)!, count = base.count
    var survival = Survival(), output = [UInt8](repeating: 0xaa, count: count * dtype.bits / 8)
    output.withUnsafeMutableBytes { out in
      let place = out.baseAddress!
      switch way {
      case .nearest:
        rounding.roundNearest(
          base: base, delta: delta, scale: scale, count: count, into: place, counting: &survival)
      case .stochastic(let seed):
        rounding.roundStochastically(
          base: base, delta: delta, scale: scale, count: count, seed: seed, first: first, into: place,
          counting: &survival)
      case .shaped:
        let direction = [Float](repeating: 1 / Float(count).squareRoot(), count: count)
        [scale].withUnsafeBufferPointer {
          rounding.roundShaped(
            base: base, delta: delta, scales: $0, rows: 1,
            space: ShapingSpace(directions: direction, rank: 1, columns: count), into: place, counting: &survival)
        }
      }
    }
    let codes = (0..<count).map { index in
      (0..<dtype.bits / 8).reduce(0) { $0 | Int(output[index * dtype.bits / 8 + $1]) << (8 * $1) }
    }
    return (codes, survival)
  }
}
