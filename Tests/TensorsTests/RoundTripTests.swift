import Tensors
import TestSupport
import Testing

/// Proves that widening stored numbers is exact for every code there is, and that rounding brings each back to itself.
@Suite struct RoundTripTests {
  /// The value of a 16-bit code from the definition of the format: sign, exponent and fraction.
  static func value(of code: UInt16, exponentBits: Int) -> Double {
    let fractionBits = 15 - exponentBits
    let bias = (1 << (exponentBits - 1)) - 1
    let exponent = Int(code & 0x7fff) >> fractionBits
    let fraction = Int(code) & ((1 << fractionBits) - 1)
    let sign: Double = code & 0x8000 == 0 ? 1 : -1
    if exponent == (1 << exponentBits) - 1 { return fraction == 0 ? sign * .infinity : .nan }
    let significand = Double(exponent == 0 ? fraction : fraction + (1 << fractionBits))
    return sign * significand * Double(sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: 1)
  }

  static let allCodes = (0...UInt16.max).map { $0 }

  @Test(
    "every 16-bit code is widened to the value that the format defines",
    arguments: [(.f16, 5), (.bf16, 8)] as [(DType, Int)])
  func widening(dtype: DType, exponentBits: Int) {
    let tensor = Tensor(dtype: dtype, shape: [65536], bytes: Bytes(copying: Self.allCodes))
    let expected = Self.allCodes.map { Self.value(of: $0, exponentBits: exponentBits) }
    let doubles = tensor.doubles()
    let floats = tensor.floats()
    for code in 0..<65536 {
      guard expected[code].isNaN else {
        guard doubles[code].bitPattern == expected[code].bitPattern,
          Double(floats[code]).bitPattern == expected[code].bitPattern
        else {
          Issue.record("code \(code): expected \(expected[code]), found \(doubles[code]) and \(floats[code])")
          return
        }
        continue
      }
      guard doubles[code].isNaN, floats[code].isNaN, (doubles[code].sign == .minus) == (code >= 0x8000) else {
        Issue.record("code \(code): expected NaN of the same sign, found \(doubles[code]) and \(floats[code])")
        return
      }
    }
  }

  @Test(
    "every 16-bit code survives widening and rounding; NaN only becomes quiet",
    arguments: [(.f16, 9), (.bf16, 6)] as [(DType, UInt16)])
  func roundTrip(dtype: DType, quietBit: UInt16) {
    let tensor = Tensor(dtype: dtype, shape: [65536], bytes: Bytes(copying: Self.allCodes))
    let doubles = tensor.doubles()
    let back = Tensor(doubles, shape: [65536], dtype: dtype).codes16
    for code in Self.allCodes {
      let expected = doubles[Int(code)].isNaN ? code | 1 << quietBit : code
      guard back[Int(code)] == expected else {
        Issue.record("code \(code): expected \(expected), found \(back[Int(code)])")
        return
      }
    }
  }

  @Test("every 8-bit code survives widening and rounding", arguments: [DType.f8e4m3, .f8e5m2])
  func roundTrip8(dtype: DType) {
    let codes = (0...UInt8.max).map { $0 }
    let doubles = Tensor(dtype: dtype, shape: [256], bytes: Bytes(copying: codes)).doubles()
    let back = Tensor(doubles, shape: [256], dtype: dtype).bytes.array
    for code in codes where !doubles[Int(code)].isNaN { #expect(back[Int(code)] == code) }
    for code in codes where doubles[Int(code)].isNaN { #expect(back[Int(code)] & 0x7f == 0x7f) }
  }

  @Test("integers and truth values keep their values", arguments: [DType.i8, .i16, .i32, .i64, .u8])
  func integers(dtype: DType) {
    let values: [Double] = dtype == .u8 ? [0, 1, 127, 128, 255] : [0, 1, -1, 127, -128]
    #expect(Tensor(values, shape: [5], dtype: dtype).doubles() == values)
    #expect(Tensor(values, shape: [5], dtype: dtype).bytes.count == 5 * dtype.bits / 8)
  }

  @Test("a truth value is one byte, 0 or 1")
  func truth() {
    #expect(Tensor([0, 1, -3, 0.5], shape: [4], dtype: .bool).bytes.array == [0, 1, 1, 1])
  }

  @Test("unsigned integers that are only read are read right")
  func unsigned() {
    #expect(Tensor(dtype: .u16, shape: [2], bytes: Bytes(copying: [0, 65535] as [UInt16])).doubles() == [0, 65535])
    #expect(Tensor(dtype: .u32, shape: [1], bytes: Bytes(copying: [UInt32.max])).doubles() == [4_294_967_295])
    #expect(Tensor(dtype: .u64, shape: [1], bytes: Bytes(copying: [UInt64.max])).doubles() == [0x1p64])
  }

  @Test(
    "a source that is not aligned to its element size is read the same",
    arguments: [DType.f64, .f32, .f16, .bf16, .f8e4m3, .f8e5m2, .i16, .i32, .i64], [1, 3, 5, 7])
  func unaligned(dtype: DType, shift: Int) {
    let values = (0..<37).map { Double($0 % 2 == 0 ? $0 : -$0) / (dtype.rawValue.hasPrefix("I") ? 1 : 4) }
    let aligned = Tensor(values, shape: [37], dtype: dtype)
    let shifted = [UInt8](repeating: 0xa5, count: shift) + aligned.bytes.array
    let bytes = Bytes(copying: shifted)
    let tensor = Tensor(dtype: dtype, shape: [37], bytes: bytes[shift..<bytes.count])
    #expect(tensor.doubles() == aligned.doubles())
    #expect(tensor.floats() == aligned.floats())
  }
}

extension Bytes {
  /// A copy of the bytes.
  var array: [UInt8] { withUnsafeBytes { Array($0) } }
}

extension Tensor {
  /// The stored codes of a 16-bit format.
  var codes16: [UInt16] {
    bytes.withUnsafeBytes { source in
      (0..<elementCount).map { UInt16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) }
    }
  }
}
