import Tensors
import TestSupport
import Testing

/// Proves that base + delta is rounded once to the nearest stored number, in every format, and that what does not fit is
/// counted rather than lost.
@Suite struct SumRoundingTests {
  static let small: [DType] = [.f16, .bf16, .f8e4m3, .f8e5m2]

  private func sign(_ value: Float, _ dtype: DType) -> Int { value.sign == .minus ? 1 << (dtype.bits - 1) : 0 }

  /// Compares all codes with the ladder's; sums beyond the largest number are left to other tests.
  private func expectNearest(_ sums: Sums, _ dtype: DType, _ ladder: FormatLadder, seed: UInt64 = 0) {
    let (codes, survival) = sums.rounded(dtype)
    var faults = 0
    for (code, stored) in zip(codes, sums.stored) {
      let expected = ladder.nearest(Double(stored.magnitude))
      guard expected < ladder.values.count else { continue }
      if code != expected | sign(stored, dtype) {
        faults += 1
        if faults == 1 { Issue.record("seed \(seed): \(stored): expected code \(expected), found \(code)") }
      }
    }
    #expect(faults == 0, "seed \(seed)")
    #expect(survival.count == codes.count && survival.notFiniteCount == 0, "seed \(seed)")
  }

  @Test("each number of a format, the ties above it and their neighbours", arguments: small)
  func ties(_ dtype: DType) {
    let ladder = FormatLadder(dtype)
    var sums = Sums(base: [], delta: [])
    for code in 0..<ladder.values.count - 1 {
      let value = Float(ladder.values[code]), half = Float(ladder.step(code) / 2)
      for change in [
        0, half, half.nextUp, half.nextDown, (value + half).nextUp - value, (value + half).nextDown - value,
      ] {
        for sign in [1, -1] as [Float] {
          sums.base.append(sign * value)
          sums.delta.append(sign * change)
        }
      }
    }
    expectNearest(sums, dtype, ladder)
  }

  @Test("random sums of all sizes, subnormal ones too", arguments: small)
  func random(_ dtype: DType) {
    let seed: UInt64 = 0x5eed
    var generator = SplitMix64(seed: seed)
    let ladder = FormatLadder(dtype), smallest = ladder.values[1].exponent, largest = ladder.values.last!.exponent
    for scale in [1, 0.37, 1.5e-3] as [Float] {
      var sums = Sums(base: [], delta: [], scale: scale)
      for _ in 0..<20_000 {
        let exponent = Int(smallest) - 3 + generator.below(Int(largest - smallest))
        let size = Double(sign: .plus, exponent: exponent, significand: Double(scale))
        let base = generator.gaussian() * size
        sums.base.append(Float(base))
        sums.delta.append(Float(generator.gaussian() * size * generator.uniform()))
      }
      expectNearest(sums, dtype, ladder, seed: seed)
    }
  }

  @Test("single precision stores the sum itself", arguments: [false, true])
  func single(isStochastic: Bool) {
    var generator = SplitMix64(seed: 4)
    let sums = Sums(
      base: generator.gaussians(1000).map { Float($0) }, delta: generator.gaussians(1000).map { Float($0) * 1e-6 })
    let (codes, survival) = sums.rounded(.f32, isStochastic ? .stochastic(seed: 1) : .nearest)
    #expect(codes == sums.totals.map { Int($0.bitPattern) })
    #expect(survival.residualEnergy == 0 && survival.notFiniteCount == 0)
  }

  @Test("the largest sums that still fit, and the smallest that do not", arguments: small)
  func overflow(_ dtype: DType) throws {
    let ladder = FormatLadder(dtype), last = ladder.values.count - 1
    let limit = Float(ladder.values[last] + ladder.step(last) / 2), isEven = last % 2 == 0
    let fits = isEven ? limit : limit.nextDown, tooLarge = isEven ? limit.nextUp : limit
    let top = 1 << (dtype.bits - 1)
    for (sign, bit) in [(1, 0), (-1, top)] as [(Float, Int)] {
      let good = Sums(base: [sign * fits], delta: [0]).rounded(dtype)
      #expect(good.codes == [last | bit] && good.survival.clampedCount + good.survival.notFiniteCount == 0)
      for way in [.nearest, .stochastic(seed: 3), .shaped] as [Sums.Way] {
        for value in [tooLarge, tooLarge * 4] where value.isFinite {
          let bad = Sums(base: [sign * value], delta: [0]).rounded(dtype, way)
          let isClamped = dtype.bits == 8
          #expect(bad.codes == [(isClamped ? last : last + 1) | bit], "\(way), \(value)")
          #expect(bad.survival.clampedCount == (isClamped ? 1 : 0), "\(way), \(value)")
          #expect(bad.survival.notFiniteCount == (isClamped ? 0 : 1), "\(way), \(value)")
        }
      }
    }
  }

  @Test("NaN and infinity are counted whatever the format and the rounding", arguments: small + [.f32])
  func notFinite(_ dtype: DType) {
    for way in [.nearest, .stochastic(seed: 9), .shaped] as [Sums.Way] {
      if dtype == .f32, case .shaped = way { continue }
      // More than one block of lanes, and a rest.
      var sums = Sums(base: [Float](repeating: 0.5, count: 1043), delta: [Float](repeating: 0.25, count: 1043))
      for (place, value) in [(0, Float.nan), (17, .infinity), (1030, -.infinity)] { sums.base[place] = value }
      for (place, value) in [(5, Float.nan), (1042, .infinity)] { sums.delta[place] = value }
      let (codes, survival) = sums.rounded(dtype, way)
      #expect(survival.notFiniteCount == 5 && survival.clampedCount == 0, "\(way)")
      #expect(codes.count { $0 == codes[1] } >= 1000 || dtype.bits == 8, "\(way): the rest is not touched")
    }
  }

  @Test("a NaN is stored as NaN", arguments: small)
  func storedNaN(_ dtype: DType) {
    for way in [.nearest, .stochastic(seed: 9), .shaped] as [Sums.Way] {
      let code = Sums(base: [-.nan], delta: [0]).rounded(dtype, way).codes[0] & (1 << (dtype.bits - 1) - 1)
      let bytes = dtype.bits == 16 ? Bytes(copying: [UInt16(code)]) : Bytes(copying: [UInt8(code)])
      #expect(Tensor(dtype: dtype, shape: [1], bytes: bytes).doubles()[0].isNaN, "\(way): code \(code)")
    }
  }

  @Test("zeros keep the sum's sign", arguments: small)
  func zeros(_ dtype: DType) {
    let top = 1 << (dtype.bits - 1), tiny = Float(FormatLadder(dtype).values[1] / 4)
    let sums = Sums(base: [-0.0, -0.0, 0, 1, -tiny, tiny], delta: [-0.0, 0, 0, -1, 0, 0])
    #expect(sums.rounded(dtype).codes == [top, 0, 0, 0, top, 0])
  }

  @Test("a row of zeros may have the scale 0", arguments: [DType.f8e4m3, .f8e5m2])
  func zeroScale(_ dtype: DType) {
    for way in [.nearest, .stochastic(seed: 1), .shaped] as [Sums.Way] {
      let (codes, survival) = Sums(base: [0, 0], delta: [0, 0], scale: 0).rounded(dtype, way)
      #expect(codes == [0, 0] && survival.notFiniteCount == 0, "\(way)")
    }
  }

  @Test("every code is widened to its number", arguments: small + [.f32])
  func widening(_ dtype: DType) {
    var generator = SplitMix64(seed: 12)
    let bytes =
      switch dtype.bits {
      case 8: Bytes(copying: (0..<256).map { UInt8($0) })
      case 16: Bytes(copying: (0..<65536).map { UInt16($0) })
      default: Bytes(copying: (0..<10_000).map { _ in UInt32(truncatingIfNeeded: generator.next()) })
      }
    let count = bytes.count * 8 / dtype.bits
    let expected = Tensor(dtype: dtype, shape: [count], bytes: bytes).doubles()
    for scale in [1, 0.3] as [Float] {
      let found = [Float](unsafeUninitializedCapacity: count) { target, filled in
        bytes.withUnsafeBytes {
          SumRounding(dtype)!.widen(
            $0.baseAddress!, scale: scale, into: UnsafeMutableBufferPointer(rebasing: target[..<count]))
        }
        filled = count
      }
      let faults = zip(found, expected).count { found, value in
        let right = Float(value) * scale
        return !(found.bitPattern == right.bitPattern || found.isNaN && value.isNaN)
      }
      #expect(faults == 0)
    }
  }

  @Test("the largest sum")
  func largestSum() {
    var generator = SplitMix64(seed: 8)
    for count in [1, 15, 16, 17, 100] {
      let sums = Sums(
        base: generator.gaussians(count).map { Float($0) }, delta: generator.gaussians(count).map { Float($0) })
      #expect(
        SumRounding.largestSum(base: sums.base, delta: sums.delta, count: count)
          == sums.totals.map(\.magnitude).max())
    }
  }
}
