/// An eight-bit floating-point format with sign, exponent and fraction fields.
///
/// Source of both layouts: Micikevicius et al., "FP8 Formats for Deep Learning", 2022, as PyTorch names them.
struct MiniFloat {
  let fractionBits: Int
  let bias: Int
  /// Exponent field all ones means infinity and NaN (E5M2); otherwise only the all-ones code is NaN (E4M3).
  let hasInfinity: Bool

  static let e4m3 = MiniFloat(fractionBits: 3, bias: 7, hasInfinity: false)
  static let e5m2 = MiniFloat(fractionBits: 2, bias: 15, hasInfinity: true)

  private var nan: UInt8 { 0x7f }
  private var infinity: UInt8 { UInt8((0x7f >> fractionBits) << fractionBits) }
  private var largestFinite: UInt8 { hasInfinity ? infinity - 1 : nan - 1 }

  /// The value of every code, so that decoding is a table look-up.
  func decodingTable() -> [Float] { (0...255).map { decode(UInt8($0)) } }

  private func decode(_ code: UInt8) -> Float {
    let sign: Float = code & 0x80 == 0 ? 1 : -1
    let magnitude = code & 0x7f
    if hasInfinity ? magnitude > infinity : magnitude == nan { return .nan }
    if hasInfinity && magnitude == infinity { return sign * .infinity }
    let exponent = Int(magnitude >> fractionBits)
    let fraction = Int(magnitude) & (1 << fractionBits - 1)
    let significand = Float(exponent == 0 ? fraction : fraction + 1 << fractionBits)
    return sign * significand * Float(sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: 1)
  }

  /// The nearest code, ties to even. Too large a value becomes infinity, or NaN where the format has none.
  func encode(_ value: Double) -> UInt8 {
    let sign: UInt8 = value.sign == .minus ? 0x80 : 0
    guard !value.isNaN else { return sign | nan }
    let magnitude = value.magnitude
    guard magnitude.isFinite else { return sign | (hasInfinity ? infinity : nan) }
    guard magnitude > 0 else { return sign }
    // Counting in units of the last place makes the code of the rounded value a plain sum: a carry out of
    // the fraction moves into the exponent by itself.
    let exponent = max(Int(magnitude.exponent), 1 - bias)
    let units = (magnitude * Double(sign: .plus, exponent: fractionBits - exponent, significand: 1)).rounded(
      .toNearestOrEven)
    let code = (exponent + bias - 1) << fractionBits + Int(units)
    guard code <= Int(largestFinite) else { return sign | (hasInfinity ? infinity : nan) }
    return sign | UInt8(code)
  }
}
