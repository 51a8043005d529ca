/// The number format of a stored tensor.
///
/// Cases are declared in the canonical order of the safetensors writer (ascending alignment), so comparing
/// `canonicalRank` sorts tensors the way the reference library lays them out.
public enum DType: String, CaseIterable, Sendable {
  case bool = "BOOL"
  case f4 = "F4"
  case f6e2m3 = "F6_E2M3"
  case f6e3m2 = "F6_E3M2"
  case u8 = "U8"
  case i8 = "I8"
  case f8e5m2 = "F8_E5M2"
  case f8e4m3 = "F8_E4M3"
  case f8e8m0 = "F8_E8M0"
  case f8e4m3fnuz = "F8_E4M3FNUZ"
  case f8e5m2fnuz = "F8_E5M2FNUZ"
  case i16 = "I16"
  case u16 = "U16"
  case f16 = "F16"
  case bf16 = "BF16"
  case i32 = "I32"
  case u32 = "U32"
  case f32 = "F32"
  case c64 = "C64"
  case f64 = "F64"
  case i64 = "I64"
  case u64 = "U64"

  /// Storage of one element in bits. Packed formats have fewer than eight.
  public var bits: Int {
    switch self {
    case .f4: 4
    case .f6e2m3, .f6e3m2: 6
    case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
    case .i16, .u16, .f16, .bf16: 16
    case .i32, .u32, .f32: 32
    case .c64, .f64, .i64, .u64: 64
    }
  }

  /// The place in the canonical file order; tensors with a higher rank come first.
  public var canonicalRank: Int { Self.ranks[self]! }

  private static let ranks = Dictionary(uniqueKeysWithValues: zip(allCases, 0...))

  /// Whether elements can be read as real numbers (`Tensor.doubles()`).
  public var isReadable: Bool {
    switch self {
    case .f4, .f6e2m3, .f6e3m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .c64: false
    default: true
    }
  }

  /// The largest relative error of one rounding to this format for normal numbers: half a unit in the last
  /// place relative to a power of two. `nil` for formats that Lathe does not write.
  public var unitRoundoff: Double? {
    switch self {
    case .f32: 0x1p-24
    case .f16: 0x1p-11
    case .bf16: 0x1p-8
    case .f8e4m3: 0x1p-4
    case .f8e5m2: 0x1p-3
    case .f64: 0x1p-53
    default: nil
    }
  }
}
