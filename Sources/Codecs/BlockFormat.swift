import CArithmetic

/// A format of ggml that keeps numbers in blocks with factors of their own.
public enum BlockFormat: String, Sendable, CaseIterable {
  case q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs, mxfp4, nvfp4

  /// Numbers of a block.
  public var elements: Int {
    switch self {
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl, .mxfp4: 32
    case .nvfp4: 64
    case .q2_k, .q3_k, .q4_k, .q5_k, .q6_k, .iq4_xs: 256
    }
  }

  /// Bytes of a block.
  public var bytes: Int {
    switch self {
    case .q4_0, .iq4_nl: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q2_k: 84
    case .q3_k: 110
    case .q4_k: 144
    case .q5_k: 176
    case .q6_k: 210
    case .iq4_xs: 136
    case .mxfp4: 17
    case .nvfp4: 36
    }
  }

  /// ggml's name: `Q4_K`.
  public var name: String { rawValue.uppercased() }

  /// Writes what blocks stand for.
  ///
  /// - Precondition: `numbers` has room for exactly the blocks' elements.
  public func decode(_ blocks: UnsafeRawBufferPointer, into numbers: UnsafeMutableBufferPointer<Float>) {
    let count = blocks.count / bytes
    precondition(count * elements == numbers.count, "room for the numbers of all blocks")
    guard count > 0, let base = blocks.baseAddress, let target = numbers.baseAddress else { return }
    let source = base.assumingMemoryBound(to: UInt8.self)
    switch self {
    case .q4_0: lathe_decode_q4_0(source, target, count)
    case .q4_1: lathe_decode_q4_1(source, target, count)
    case .q5_0: lathe_decode_q5_0(source, target, count)
    case .q5_1: lathe_decode_q5_1(source, target, count)
    case .q8_0: lathe_q8_0_to_f32(source, target, count)
    case .q2_k: lathe_decode_q2_k(source, target, count)
    case .q3_k: lathe_decode_q3_k(source, target, count)
    case .q4_k: lathe_decode_q4_k(source, target, count)
    case .q5_k: lathe_decode_q5_k(source, target, count)
    case .q6_k: lathe_decode_q6_k(source, target, count)
    case .iq4_nl: lathe_decode_iq4_nl(source, target, count)
    case .iq4_xs: lathe_decode_iq4_xs(source, target, count)
    case .mxfp4: lathe_decode_mxfp4(source, target, count)
    case .nvfp4: lathe_decode_nvfp4(source, target, count)
    }
  }
}
