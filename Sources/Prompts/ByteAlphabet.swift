/// The characters that stand for bytes in a table of merges, so that the table is readable text.
///
/// Printable bytes stand for themselves; the others, in ascending order, are U+0100 and on. The order of the alphabet,
/// printable bytes first, is the order of the first 256 tokens (OpenAI, GPT-2, `bytes_to_unicode`).
enum ByteAlphabet {
  private static let printable: [UInt8] = Array(33...126) + Array(161...172) + Array(174...255)
  private static let others: [UInt8] = Array(0...32) + Array(127...160) + [173]

  /// The bytes in the order of the tokens.
  static let bytes = printable + others

  /// The characters in the same order.
  static let characters: [Unicode.Scalar] =
    printable.map { Unicode.Scalar($0) } + others.indices.map { Unicode.Scalar(UInt16(0x100 + $0))! }

  /// The token of each byte.
  static let tokens: [Int32] = {
    var tokens = [Int32](repeating: 0, count: 256)
    for (token, byte) in bytes.enumerated() { tokens[Int(byte)] = Int32(token) }
    return tokens
  }()
}
