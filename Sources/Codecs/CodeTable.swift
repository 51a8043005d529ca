public import Tensors

/// What codes stand for, before their step.
public enum CodeTable {
  /// Of all 256 codes of `F8_E4M3`.
  public static let e4m3 = values(.f8e4m3)
  /// Of all 256 codes of `F8_E5M2`.
  public static let e5m2 = values(.f8e5m2)
  /// Powers of two: 2^(code − 127); 255 is NaN. Source: OCP Microscaling Formats 1.0.
  public static let e8m0 = (0...255).map { code -> Float in
    code == 255 ? .nan : code == 0 ? 0x1p-127 : Float(bitPattern: UInt32(code) << 23)
  }
  /// Of the 16 codes of E2M1: sign, two bits of exponent, one of fraction. Source: OCP Microscaling Formats 1.0.
  public static let e2m1: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]
  /// Four bits in two's complement.
  public static let signedNibbles: [Float] = (0..<16).map { Float($0 < 8 ? $0 : $0 - 16) }

  /// Four bits that are a whole number plus `excess`.
  public static func nibbles(excess: Int) -> [Float] { (0..<16).map { Float($0 - excess) } }

  /// Eight bits that are a whole number plus `excess`.
  public static func bytes(excess: Int) -> [Float] { (0..<256).map { Float($0 - excess) } }

  /// Of an eight-bit format of floating-point numbers; `nil` for another one.
  public static func floats(_ dtype: DType) -> [Float]? {
    switch dtype {
    case .f8e4m3: e4m3
    case .f8e5m2: e5m2
    default: nil
    }
  }

  private static func values(_ dtype: DType) -> [Float] {
    Tensor(dtype: dtype, shape: [256], bytes: Bytes(copying: (0...255).map(UInt8.init))).floats()
  }
}
