import Crypto
public import Tensors

/// SHA-256 of file contents, as the community's tools name and shorten it.
public enum ContentHash {
  /// All 64 hexadecimal digits, lower case.
  public static func sha256(_ bytes: Bytes) -> String {
    var hash = SHA256()
    bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
    return hex(hash.finalize())
  }

  /// The hash of much memory, part by part, so that a mapped file is not held in memory.
  public static func sha256(streaming bytes: Bytes) -> String { sha256(streaming: bytes) { _ in } }

  /// The hash of much memory, part by part, so that a mapped file is not held in memory.
  ///
  /// - Parameter willRead: called before each part with the number of bytes read so far; it may wait, and throw to stop.
  public static func sha256(streaming bytes: Bytes, willRead: (Int) throws -> Void) rethrows -> String {
    let size = 4 << 20
    var hash = SHA256()
    for start in stride(from: 0, to: bytes.count, by: size) {
      try willRead(start)
      let part = bytes[start..<min(start + size, bytes.count)]
      part.withUnsafeBytes { hash.update(bufferPointer: $0) }
      part.forget()
    }
    return hex(hash.finalize())
  }

  /// The hash of several pieces of memory as if they were one, part by part.
  public static func sha256(parts: [Bytes]) -> String {
    let size = 4 << 20
    var hash = SHA256()
    for bytes in parts {
      for start in stride(from: 0, to: bytes.count, by: size) {
        let part = bytes[start..<min(start + size, bytes.count)]
        part.withUnsafeBytes { hash.update(bufferPointer: $0) }
        part.forget()
      }
    }
    return hex(hash.finalize())
  }

  public static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
    var hash = SHA256()
    hash.update(bufferPointer: bytes)
    return hex(hash.finalize())
  }

  private static func hex(_ digest: SHA256.Digest) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
