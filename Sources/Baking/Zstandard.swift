import CZstd
import Tensors

/// Zstandard compression: the only calls to libzstd.
enum Zstandard {
  /// Spends more time where it pays: these streams are small beside the weights that they belong to.
  private static let level: Int32 = 12

  static func compressed(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { target, count in
      count = ZSTD_compress(target.baseAddress, target.count, bytes, bytes.count, level)
      precondition(ZSTD_isError(count) == 0, "zstd could not compress into the room that it asked for")
    }
  }

  /// How many bytes a frame says that it holds; the largest number where it does not say.
  static func size(of bytes: Bytes) -> Int {
    bytes.withUnsafeBytes { Int(clamping: ZSTD_getFrameContentSize($0.baseAddress, $0.count)) }
  }

  /// `nil` for bytes that are not a whole frame, or one of more than `limit` bytes.
  static func decompressed(_ bytes: Bytes, limit: Int) -> [UInt8]? {
    bytes.withUnsafeBytes { source in
      let size = ZSTD_getFrameContentSize(source.baseAddress, source.count)
      guard size <= UInt64(limit) else { return nil }
      var isWhole = false
      let result = [UInt8](unsafeUninitializedCapacity: Int(size)) { target, count in
        let written = ZSTD_decompress(target.baseAddress, target.count, source.baseAddress, source.count)
        isWhole = ZSTD_isError(written) == 0 && written == Int(size)
        count = isWhole ? written : 0
      }
      return isWhole ? result : nil
    }
  }
}
