import Files

/// The hashes by which the community names adapter files.
public struct AdapterHashes: Sendable {
  /// SHA-256 of the whole file, 64 digits.
  public let sha256: String
  /// The first ten digits of `sha256`.
  public var autoV2: String { String(sha256.prefix(10)) }
  /// SHA-256 of the tensors' bytes without the header, so that editing metadata does not change it; `nil` for files
  /// that are not safetensors. Shown shortened to twelve digits; kohya calls the whole of it `sshs_model_hash`.
  public let content: String?
  /// The first twelve digits of `content`, as A1111 shows them; `nil` for files that are not safetensors.
  public var autoV3: String? { content.map { String($0.prefix(12)) } }

  /// Reads the whole file.
  public init(of adapter: Adapter) throws {
    sha256 = ContentHash.sha256(try MappedFile(path: adapter.tensorFile).bytes)
    content = adapter.data.map { ContentHash.sha256($0) }
  }

  /// SHA-256 of the tensors' bytes; for files that are not safetensors, of the whole file.
  public static func contentHash(of adapter: Adapter) throws -> String {
    try ContentHash.sha256(streaming: adapter.data ?? MappedFile(path: adapter.tensorFile).bytes)
  }

  /// The problem of a stored hash that no longer fits the tensors.
  public func staleHash(in adapter: Adapter) -> AdapterProblem? {
    guard let content, var stored = adapter[metadata: "sshs_model_hash"]?.lowercased(), !stored.isEmpty else {
      return nil
    }
    if stored.hasPrefix("0x") { stored.removeFirst(2) }
    return stored == content
      ? nil : AdapterProblem(.staleHash(field: "sshs_model_hash", expected: content, found: stored))
  }
}
