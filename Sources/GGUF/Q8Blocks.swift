import CArithmetic

/// Q8_0, ggml's quantisation to 8 bits: blocks of 32 signed bytes, each block with one factor in half precision.
public enum Q8Blocks {
  /// Numbers of a block.
  public static let elements = 32
  /// Bytes of a block: a factor of two, and one for each number.
  public static let bytes = 34

  /// The numbers that blocks stand for; single precision holds them exactly.
  ///
  /// - Precondition: `numbers` has room for the blocks' elements.
  public static func widen(_ blocks: UnsafeRawBufferPointer, into numbers: UnsafeMutableBufferPointer<Float>) {
    precondition(blocks.count / bytes * elements == numbers.count, "room for the numbers of all blocks")
    guard let source = blocks.baseAddress, let target = numbers.baseAddress else { return }
    lathe_q8_0_to_f32(source, target, blocks.count / bytes)
  }

  /// The blocks that ggml's own quantiser makes of finite numbers, bit for bit.
  ///
  /// - Precondition: `numbers` are whole blocks, and `blocks` has room for them.
  public static func quantise(_ numbers: UnsafeBufferPointer<Float>, into blocks: UnsafeMutableRawBufferPointer) {
    precondition(numbers.count % elements == 0 && blocks.count == numbers.count / elements * bytes, "whole blocks")
    guard let source = numbers.baseAddress, let target = blocks.baseAddress else { return }
    lathe_f32_to_q8_0(source, target, numbers.count / elements)
  }
}
