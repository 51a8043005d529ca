import Tensors
import Testing

/// Proves that all 256 codes of both eight-bit formats have the values that their definitions give (Micikevicius et al.
/// 2022, as PyTorch names them), with the table worked out here digit by digit.
@Suite struct EightBitTests {
  @Test("F8_E4M3: bias 7, no infinity, only S.1111.111 is NaN")
  func e4m3() {
    let found = values(.f8e4m3)
    for code in 0..<256 {
      let digits = (0..<8).map { code >> (7 - $0) & 1 }
      let exponent = digits[1...4].reduce(0) { 2 * $0 + $1 }
      let fraction = Double(digits[5]) / 2 + Double(digits[6]) / 4 + Double(digits[7]) / 8
      if exponent == 15, fraction == 0.875 {
        #expect(found[code].isNaN)
      } else {
        let size = exponent == 0 ? fraction * power(-6) : (1 + fraction) * power(exponent - 7)
        #expect(found[code] == (digits[0] == 1 ? -size : size))
      }
    }
    #expect(found[0x7e] == 448 && found[0x01] == 0x1p-9 && found[0x38] == 1)
    #expect(found[0x80] == 0 && found[0x80].sign == .minus)
  }

  @Test("F8_E5M2: bias 15 with infinity and NaN, the upper byte of F16")
  func e5m2() {
    let found = values(.f8e5m2)
    let halves = Tensor(dtype: .f16, shape: [256], bytes: Bytes(copying: (0..<256).map { UInt16($0 << 8) })).doubles()
    for code in 0..<256 {
      let exponent = code >> 2 & 31
      let fraction = Double(code & 3) / 4
      let sign: Double = code < 128 ? 1 : -1
      if exponent == 31 {
        #expect(fraction == 0 ? found[code] == sign * .infinity : found[code].isNaN)
      } else {
        #expect(found[code] == sign * (exponent == 0 ? fraction * power(-14) : (1 + fraction) * power(exponent - 15)))
      }
      #expect(found[code] == halves[code] || (found[code].isNaN && halves[code].isNaN))
    }
    #expect(found[0x7b] == 57344 && found[0x01] == 0x1p-16)
  }

  private func values(_ dtype: DType) -> [Double] {
    Tensor(dtype: dtype, shape: [256], bytes: Bytes(copying: (0..<256).map { UInt8($0) })).doubles()
  }

  /// 2 to the power of `exponent`, by multiplication.
  private func power(_ exponent: Int) -> Double {
    (0..<abs(exponent)).reduce(1) { value, _ in exponent < 0 ? value / 2 : value * 2 }
  }
}
