import Tensors
import TestSupport
import Testing

/// Proves that values are rounded to stored formats once, to the nearest with ties to even, and what becomes of values
/// outside a format's range.
@Suite struct RoundingTests {
  /// All finite values of a format, ascending, with their codes: the definition of "nearest" to compare with.
  struct Ladder {
    let dtype: DType
    let codes: [Int]
    let values: [Double]

    init(_ dtype: DType) {
      self.dtype = dtype
      let count = dtype.bits == 16 ? 32768 : 128
      let bytes =
        dtype.bits == 16
        ? Bytes(copying: (0..<count).map { UInt16($0) }) : Bytes(copying: (0..<count).map { UInt8($0) })
      let all = Tensor(dtype: dtype, shape: [count], bytes: bytes).doubles()
      codes = (0..<count).filter { all[$0].isFinite }
      values = codes.map { all[$0] }
    }

    func code(of value: Double) -> Int {
      let tensor = Tensor([value], shape: [1], dtype: dtype)
      return dtype.bits == 16 ? Int(tensor.codes16[0]) : Int(tensor.bytes.array[0])
    }
  }

  @Test(
    "between neighbours the nearer one is taken, and the even one half-way",
    arguments: [DType.f16, .bf16, .f8e4m3, .f8e5m2])
  func nearest(dtype: DType) {
    let ladder = Ladder(dtype)
    let sign = 1 << (dtype.bits - 1)
    for i in 0..<(ladder.values.count - 1) {
      let low = ladder.values[i]
      let high = ladder.values[i + 1]
      let middle = (low + high) / 2
      let even = ladder.codes[i] % 2 == 0 ? ladder.codes[i] : ladder.codes[i + 1]
      // The doubles next to the tie are so close to it that a first rounding to single precision would make them ties.
      for (value, code) in [
        (middle, even), (middle.nextDown, ladder.codes[i]), (middle.nextUp, ladder.codes[i + 1]),
        (low.nextUp, ladder.codes[i]), (high.nextDown, ladder.codes[i + 1]),
      ] {
        guard ladder.code(of: value) == code, ladder.code(of: -value) == code | sign else {
          Issue.record(
            "\(value): expected code \(code), found \(ladder.code(of: value)), \(ladder.code(of: -value)) negated")
          return
        }
      }
    }
  }

  @Test("random doubles of all sizes go to the nearest code", arguments: [DType.f16, .bf16, .f8e4m3, .f8e5m2])
  func random(dtype: DType) {
    let seed: UInt64 = 0x7e45
    let ladder = Ladder(dtype)
    var generator = SplitMix64(seed: seed)
    for _ in 0..<20000 {
      let value = abs(generator.gaussian()) * Double(sign: .plus, exponent: generator.below(40) - 25, significand: 1)
      guard value < ladder.values.last! else { continue }
      let above = ladder.values.partitioningIndex { $0 >= value }
      let below = max(above - 1, 0)
      let expected = value - ladder.values[below] < ladder.values[above] - value ? below : above
      guard ladder.values[above] != value else { continue }
      #expect(ladder.code(of: value) == ladder.codes[expected], "seed \(seed), value \(value)")
    }
  }

  @Test(
    "a double is not rounded twice on its way to 16 bits",
    arguments: [
      // Half-way between 1 and the next f16 or bf16, and a trifle more or less: single precision would lose the trifle.
      (.f16, 1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-10), (.f16, 1 + 0x1p-11 - 0x1p-40, 1), (.f16, 1 + 0x1p-11, 1),
      (.f16, 1 + 3 * 0x1p-11 - 0x1p-40, 1 + 0x1p-10), (.bf16, 1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-7),
      (.bf16, 1 + 3 * 0x1p-8 - 0x1p-40, 1 + 0x1p-7), (.f16, 0x1p-25 + 0x1p-60, 0x1p-24), (.f16, 0x1p-25, 0),
      (.f16, 65520 - 0x1p-30, 65504), (.bf16, 0x1p-134 + 0x1p-180, 0x1p-133),
    ] as [(DType, Double, Double)])
  func doubleRounding(dtype: DType, value: Double, expected: Double) {
    #expect(Tensor([value, -value], shape: [2], dtype: dtype).doubles() == [expected, -expected])
  }

  @Test(
    "too large a value becomes infinity, or NaN where the format has none",
    arguments: [
      (.f32, 0x1.ffffffp127, Double.infinity), (.f32, 0x1.fffffefp127, 0x1.fffffep127), (.f16, 65520, .infinity),
      (.f16, 65519.99, 65504), (.bf16, 0x1.ffp127, .infinity), (.bf16, 0x1.fe8p127, 0x1.fep127),
      (.bf16, 1e300, .infinity),
      (.f16, 1e300, .infinity), (.f32, 1e300, .infinity), (.f8e5m2, 61440, .infinity), (.f8e5m2, 61439, 57344),
      (.f8e4m3, 464, 448), (.f8e4m3, 465, .nan), (.f8e4m3, 1e300, .nan), (.f8e4m3, .infinity, .nan),
      (.f8e5m2, .infinity, .infinity), (.f16, .infinity, .infinity), (.bf16, .infinity, .infinity),
    ] as [(DType, Double, Double)])
  func overflow(dtype: DType, value: Double, expected: Double) {
    let found = Tensor([value, -value], shape: [2], dtype: dtype).doubles()
    #expect(expected.isNaN ? found.allSatisfy(\.isNaN) : found == [expected, -expected], "found \(found)")
  }

  @Test("NaN stays NaN, zero keeps its sign", arguments: [DType.f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2])
  func special(dtype: DType) {
    let found = Tensor([.nan, -.nan, 0, -0.0, 1e-300, -1e-300], shape: [6], dtype: dtype).doubles()
    #expect(found[0].isNaN && found[1].isNaN)
    #expect(found[2] == 0 && found[2].sign == .plus && found[3] == 0 && found[3].sign == .minus)
    guard dtype != .f64 else { return }
    #expect(found[4] == 0 && found[4].sign == .plus && found[5] == 0 && found[5].sign == .minus)
  }

  @Test("single precision has subnormals too")
  func subnormalSingle() {
    let values = [0x1p-149, 0x1p-150, 0x1p-150 + 0x1p-190, 3 * 0x1p-150]
    #expect(Tensor(values, shape: [4], dtype: .f32).doubles() == [0x1p-149, 0, 0x1p-149, 0x1p-148])
  }

  @Test(
    "integers round to even and stop at their ends; NaN becomes zero",
    arguments: [
      (.i8, -128.0, 127.0), (.i16, -32768, 32767), (.i32, -2_147_483_648, 2_147_483_647), (.i64, -0x1p63, 0x1p63),
      (.u8, 0, 255),
    ] as [(DType, Double, Double)])
  func integers(dtype: DType, lowest: Double, highest: Double) {
    let values: [Double] = [1e30, -1e30, .infinity, -.infinity, .nan, 0.5, 1.5, 2.5, highest + 0.4, lowest - 0.4]
    let found = Tensor(values, shape: [10], dtype: dtype).doubles()
    #expect(found == [highest, lowest, highest, lowest, 0, 0, 2, 2, highest, lowest])
  }

  @Test(
    "one rounding errs by at most the format's unit roundoff",
    arguments: [DType.f32, .f16, .bf16, .f8e4m3, .f8e5m2, .f64])
  func unitRoundoff(dtype: DType) throws {
    let seed: UInt64 = 0x0ff
    let unit = try #require(dtype.unitRoundoff)
    var generator = SplitMix64(seed: seed)
    let values = (0..<5000).map { _ in 1 + generator.uniform() }
    let stored = Tensor(values, shape: [5000], dtype: dtype).doubles()
    let worst = zip(values, stored).map { abs($0 - $1) / $0 }.max()!
    #expect(worst <= unit, "seed \(seed)")
    #expect(dtype == .f64 || worst > 0.9 * unit / 2, "seed \(seed): the bound is far from sharp")
  }
}

extension [Double] {
  /// The first index whose element satisfies `test`, for a sorted array.
  fileprivate func partitioningIndex(where test: (Double) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if test(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
