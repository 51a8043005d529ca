import COpenSSL
public import Tensors

/// SHA-256 of file contents, as the community's tools name and shorten it.
public enum ContentHash {
  /// All 64 hexadecimal digits, lower case.
  public static func sha256(_ bytes: Bytes) -> String {
    bytes.withUnsafeBytes { sha256($0) }
  }

  /// Sixty-four lowercase hexadecimal digits.
  public static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
    let hash = RunningHash()
    hash.update(bytes)
    return hash.finish()
  }

  /// The hash of much memory, part by part, so that a mapped file is not held in memory.
  public static func sha256(streaming bytes: Bytes) -> String { sha256(streaming: bytes) { _ in } }

  /// The hash of much memory, part by part, so that a mapped file is not held in memory.
  ///
  /// - Parameter willRead: called before each part with the number of bytes read so far; it may wait, and throw to stop.
  public static func sha256(streaming bytes: Bytes, willRead: (Int) throws -> Void) rethrows -> String {
    let hash = RunningHash()
    try hash.update(streaming: bytes, willRead: willRead)
    return hash.finish()
  }

  /// The hash of several pieces of memory as if they were one, part by part.
  public static func sha256(parts: [Bytes]) -> String {
    let hash = RunningHash()
    for bytes in parts { hash.update(streaming: bytes) { _ in } }
    return hash.finish()
  }
}

/// A SHA-256 that is given its bytes one after the other.
private final class RunningHash {
  private let context: OpaquePointer

  /// OpenSSL's SHA-256, from a context of our own.
  nonisolated(unsafe) private static let algorithm: OpaquePointer = {
    // A process may end while another thread hashes: OpenSSL then must not clear up what that thread uses.
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
    guard let algorithm = EVP_MD_fetch(OSSL_LIB_CTX_new(), "SHA256", nil) else {
      fatalError("OpenSSL has no SHA-256, or there is no memory for it")
    }
    return algorithm
  }()

  init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, Self.algorithm, nil) == 1 else {
      fatalError("there is no memory for a SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  func update(_ bytes: UnsafeRawBufferPointer) {
    guard EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
      fatalError("a SHA-256 takes no bytes when it is finished")
    }
  }

  /// Adds much memory part by part, and lets go of each part of a mapped file.
  func update(streaming bytes: Bytes, willRead: (Int) throws -> Void) rethrows {
    let size = 4 << 20
    for start in stride(from: 0, to: bytes.count, by: size) {
      try willRead(start)
      let part = bytes[start..<min(start + size, bytes.count)]
      part.withUnsafeBytes(update)
      part.forget()
    }
  }

  /// All 64 hexadecimal digits, lower case.
  func finish() -> String {
    let digest = [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      guard EVP_DigestFinal_ex(context, buffer.baseAddress, nil) == 1 else { fatalError("a SHA-256 is finished once") }
      count = 32
    }
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
