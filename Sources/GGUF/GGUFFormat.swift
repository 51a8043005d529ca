public import Tensors

/// How a tensor of a GGUF file is stored.
///
/// Source of the numbers: `enum ggml_type` in ggml's `ggml.h`.
public enum GGUFFormat: UInt32, Sendable, CaseIterable {
  case f32 = 0
  case f16 = 1
  /// Blocks of 32 signed bytes with one factor in half precision.
  case q8_0 = 8
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case bf16 = 30

  /// The number format of what the tensor stands for.
  public var dtype: DType {
    switch self {
    case .f32, .q8_0: .f32
    case .f16: .f16
    case .i8: .i8
    case .i16: .i16
    case .i32: .i32
    case .i64: .i64
    case .f64: .f64
    case .bf16: .bf16
    }
  }

  /// Whether the stored bytes are not the numbers themselves.
  public var isQuantised: Bool { self == .q8_0 }

  /// How many elements a row is cut into at a time; rows are whole blocks.
  public var blockSize: Int { self == .q8_0 ? Q8Blocks.elements : 1 }

  /// ggml's name.
  public var name: String { "\(self)".uppercased() }

  /// The bytes of this many elements.
  ///
  /// - Precondition: `elements` are whole blocks.
  public func byteCount(_ elements: Int) -> Int {
    self == .q8_0 ? elements / Q8Blocks.elements * Q8Blocks.bytes : elements * (dtype.bits / 8)
  }

  /// The format in which plain tensors of a number format are stored; `nil` where there is none.
  public init?(_ dtype: DType) {
    guard let format = Self.allCases.first(where: { !$0.isQuantised && $0.dtype == dtype }) else { return nil }
    self = format
  }

  /// ggml's names of formats that are not read.
  static func otherName(_ number: UInt32) -> String? {
    let names: [UInt32: String] = [
      2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
      14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
      22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    ]
    return names[number]
  }
}
