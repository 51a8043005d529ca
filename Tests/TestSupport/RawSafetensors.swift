/// A safetensors file put together by hand, right or wrong.
public struct RawSafetensors: Sendable {
  /// The header's text, exactly as it is to stand in the file.
  public var header: [UInt8]
  public var data: [UInt8]
  /// What the length field says; the header's true length when `nil`.
  public var declaredLength: UInt64?

  public init(header: String, data: [UInt8] = [], declaredLength: UInt64? = nil) {
    self.init(headerBytes: Array(header.utf8), data: data, declaredLength: declaredLength)
  }

  public init(headerBytes: [UInt8], data: [UInt8] = [], declaredLength: UInt64? = nil) {
    (header, self.data, self.declaredLength) = (headerBytes, data, declaredLength)
  }

  public var bytes: [UInt8] {
    let length = declaredLength ?? UInt64(header.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + header + data
  }
}
