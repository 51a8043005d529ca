public import Codecs
public import Tensors

/// How a tensor of a GGUF file is stored.
///
/// Source of the numbers: `enum ggml_type` in ggml's `ggml.h`.
public enum GGUFFormat: UInt32, Sendable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  /// Blocks of 32 signed bytes with one factor in half precision.
  case q8_0 = 8
  case q2_k = 10
  case q3_k = 11
  case q4_k = 12
  case q5_k = 13
  case q6_k = 14
  case iq4_nl = 20
  case iq4_xs = 23
  case i8 = 24
  case i16 = 25
  case i32 = 26
  case i64 = 27
  case f64 = 28
  case bf16 = 30
  case mxfp4 = 39
  case nvfp4 = 40

  /// The number format of what the tensor stands for.
  public var dtype: DType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .i8: .i8
    case .i16: .i16
    case .i32: .i32
    case .i64: .i64
    case .f64: .f64
    case .bf16: .bf16
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_nl, .iq4_xs, .mxfp4, .nvfp4: .f32
    }
  }

  /// The blocks that numbers are kept in; `nil` where the stored bytes are the numbers themselves.
  public var blocks: BlockFormat? { BlockFormat(rawValue: "\(self)") }

  /// Whether the stored bytes are not the numbers themselves.
  public var isQuantised: Bool { blocks != nil }

  /// How many elements a row is cut into at a time; rows are whole blocks.
  public var blockSize: Int { blocks?.elements ?? 1 }

  /// ggml's name.
  public var name: String { "\(self)".uppercased() }

  /// The bytes of this many elements.
  ///
  /// - Precondition: `elements` are whole blocks.
  public func byteCount(_ elements: Int) -> Int {
    blocks.map { elements / $0.elements * $0.bytes } ?? elements * (dtype.bits / 8)
  }

  /// The format that keeps numbers in these blocks.
  public init(_ blocks: BlockFormat) { self = Self.allCases.first { $0.blocks == blocks }! }

  /// The format in which plain tensors of a number format are stored; `nil` where there is none.
  public init?(_ dtype: DType) {
    guard let format = Self.allCases.first(where: { !$0.isQuantised && $0.dtype == dtype }) else { return nil }
    self = format
  }

  /// ggml's names of formats that are not read.
  static func otherName(_ number: UInt32) -> String? {
    let names: [UInt32: String] = [
      4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S",
      22: "IQ2_S", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 34: "TQ1_0", 35: "TQ2_0",
      36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 41: "Q1_0", 42: "Q2_0",
    ]
    return names[number]
  }
}
