import CArithmetic

/// Where a block of ggml has its codes, what they stand for, and how steps follow from its factors.
///
/// Source: `ggml-common.h` of ggml.
struct BlockLayout: Sendable {
  /// The codes by what they stand for before their step.
  let order: CodeOrder
  /// Numbers that share a step.
  let groupLength: Int
  /// For each number the parts of its code, number by number.
  let parts: [lathe_code_part]
  /// Parts of each number's code.
  let partCount: Int
  let steps: @Sendable (_ blocks: UnsafePointer<UInt8>, _ steps: UnsafeMutablePointer<Float>, _ count: Int) -> Void

  static func layout(of format: BlockFormat) -> BlockLayout { all[format]! }

  private static let all = Dictionary(
    uniqueKeysWithValues: BlockFormat.allCases.map { ($0, BlockLayout($0)) })

  private init(_ format: BlockFormat) {
    let order: CodeOrder, parts: (Int) -> [lathe_code_part]
    switch format {
    case .q4_0: (order, parts) = (Self.whole(16, from: -8), Self.halves(2))
    case .q4_1: (order, parts) = (Self.whole(16, from: 0), Self.halves(4))
    case .q5_0: (order, parts) = (Self.whole(32, from: -16), Self.fifths(high: 2, low: 6))
    case .q5_1: (order, parts) = (Self.whole(32, from: 0), Self.fifths(high: 4, low: 8))
    case .q8_0:
      order = .signedBytes
      parts = { [Self.part(2 + $0, shift: 0, bits: 8)] }
    case .iq4_nl: (order, parts) = (Self.curve, Self.halves(2))
    case .mxfp4: (order, parts) = (Self.doubledE2M1, Self.halves(1))
    case .nvfp4:
      order = Self.doubledE2M1
      parts = { [Self.part(4 + 8 * ($0 / 16) + $0 % 8, shift: $0 % 16 < 8 ? 0 : 4, bits: 4)] }
    case .q2_k:
      order = Self.whole(4, from: 0)
      parts = { [Self.quarter($0, of: 16)] }
    case .q3_k:
      order = Self.whole(8, from: -4)
      parts = { [Self.quarter($0, of: 32), Self.part($0 % 32, shift: $0 / 32, bits: 1, up: 2)] }
    case .q4_k:
      order = Self.whole(16, from: 0)
      parts = { [Self.nibble($0, of: 16)] }
    case .q5_k:
      order = Self.whole(32, from: 0)
      parts = { [Self.nibble($0, of: 48), Self.part(16 + $0 % 32, shift: $0 / 32, bits: 1, up: 4)] }
    case .q6_k:
      order = Self.whole(64, from: -32)
      parts = { e in
        let (half, i) = e.quotientAndRemainder(dividingBy: 128)
        return [
          Self.part(64 * half + i % 64, shift: i < 64 ? 0 : 4, bits: 4),
          Self.part(128 + 32 * half + i % 32, shift: 2 * (i / 32), bits: 2, up: 4),
        ]
      }
    case .iq4_xs:
      order = Self.curve
      parts = { [Self.part(8 + 16 * ($0 / 32) + $0 % 16, shift: $0 % 32 < 16 ? 0 : 4, bits: 4)] }
    }
    self.order = order
    self.parts = (0..<format.elements).flatMap(parts)
    partCount = parts(0).count
    (groupLength, steps) = Self.steps(format)
  }

  // MARK: Codes

  /// Consecutive whole numbers.
  private static func whole(_ count: Int, from lowest: Int) -> CodeOrder {
    CodeOrder((0..<count).map { Float(lowest + $0) })
  }

  /// Twice the values of E2M1, as ggml's factors for it are halved.
  private static let doubledE2M1 = CodeOrder(CodeTable.e2m1.map { 2 * $0 })
  private static let curve = CodeOrder(withUnsafeBytes(of: lathe_curve) { Array($0.bindMemory(to: Float.self)) })

  private static func part(_ byte: Int, shift: Int, bits: Int, up: Int = 0) -> lathe_code_part {
    lathe_code_part(byte: UInt16(byte), shift: UInt8(shift), mask: UInt8(1 << bits - 1), up: UInt8(up))
  }

  /// Blocks of 32: the first half in low nibbles, the second in high ones.
  private static func halves(_ start: Int) -> (Int) -> [lathe_code_part] {
    { [part(start + $0 % 16, shift: $0 < 16 ? 0 : 4, bits: 4)] }
  }

  private static func fifths(high: Int, low: Int) -> (Int) -> [lathe_code_part] {
    { halves(low)($0) + [part(high + $0 / 8, shift: $0 % 8, bits: 1, up: 4)] }
  }

  /// Super-blocks: four rows of 32 numbers in the bits of the same bytes.
  private static func quarter(_ e: Int, of start: Int) -> lathe_code_part {
    part(start + 32 * (e / 128) + e % 32, shift: 2 * (e % 128 / 32), bits: 2)
  }

  /// Super-blocks: two rows of 32 numbers in the nibbles of the same bytes.
  private static func nibble(_ e: Int, of start: Int) -> lathe_code_part {
    part(start + 32 * (e / 64) + e % 32, shift: e % 64 < 32 ? 0 : 4, bits: 4)
  }

  // MARK: Steps

  private static func steps(
    _ format: BlockFormat
  ) -> (Int, @Sendable (UnsafePointer<UInt8>, UnsafeMutablePointer<Float>, Int) -> Void) {
    let bytes = format.bytes
    switch format {
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl: return (32, { lathe_steps_half($0, bytes, $1, $2) })
    case .mxfp4: return (32, { lathe_steps_mxfp4($0, $1, $2) })
    case .nvfp4: return (16, { lathe_steps_nvfp4($0, $1, $2) })
    case .q2_k: return (16, { lathe_steps_q2_k($0, $1, $2) })
    case .q3_k: return (16, { lathe_steps_q3_k($0, $1, $2) })
    case .q4_k, .q5_k: return (32, { lathe_steps_q4_k($0, bytes, $1, $2) })
    case .q6_k: return (16, { lathe_steps_q6_k($0, $1, $2) })
    case .iq4_xs: return (32, { lathe_steps_iq4_xs($0, $1, $2) })
    }
  }
}
