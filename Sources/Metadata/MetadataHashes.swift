import Factoring
import Files
public import Safetensors
import Tensors

/// The hashes of a file's tensors that its metadata may hold.
///
/// Definitions: kohya's sd-scripts for `sshs_*`, Stability's model metadata specification for `modelspec.hash_sha256`.
public struct MetadataHashes: Sendable {
  /// One entry of the metadata, with what it should be.
  public struct Entry: Sendable {
    /// One of `keys`.
    public let key: String
    /// What the metadata says, as it is spelled there.
    public let stored: String
    /// What it should say, with `0x` in front where the stored one or the specification has it.
    public let actual: String
    /// Whether the two are one hash, however they are spelled.
    public var matches: Bool { stored.hashDigits == actual.hashDigits }
  }

  private let file: SafetensorsFile
  /// SHA-256 of the data section as it is, and of the tensors in the canonical order; computed when first asked for.
  private let stored: String
  private let canonical: String

  /// The entries of metadata that hold hashes.
  public static let keys = ["sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"]

  /// Reads the whole file, in parts of some megabytes.
  public init(of file: SafetensorsFile) {
    self.file = file
    stored = ContentHash.sha256(streaming: file.data)
    canonical = Self.isCanonical(file) ? stored : ContentHash.sha256(parts: Self.inOrder(file).map(\.bytes))
  }

  /// The hashes that the metadata holds.
  ///
  /// - Parameter metadata: the file's own, or what will stand in its place.
  public func entries(for metadata: [(key: String, value: String)]) -> [Entry] {
    Self.keys.compactMap { key in
      guard let value = metadata.last(where: { $0.key == key })?.value else { return nil }
      return Entry(key: key, stored: value, actual: actual(key, stored: value, metadata))
    }
  }

  private func actual(_ key: String, stored value: String, _ metadata: [(key: String, value: String)]) -> String {
    // Some writers put 0x before them.
    let prefix = value.lowercased().hasPrefix("0x") ? "0x" : ""
    switch key {
    case "sshs_legacy_hash": return prefix + legacy(metadata)
    case "sshs_model_hash": return prefix + canonical
    // The specification leaves the order open: either is right.
    default:
      return (prefix.isEmpty && !value.isEmpty ? "" : "0x") + (value.hashDigits == canonical ? canonical : stored)
    }
  }

  /// Of 64 KiB from the second mebibyte on of a file with these tensors and only the training's metadata.
  private func legacy(_ metadata: [(key: String, value: String)]) -> String {
    let tensors = Self.inOrder(file)
    let head = SafetensorsLayout(
      tensors.map(\.item), metadata: metadata.filter { $0.key.hasPrefix("ss_") }
    ).head().count
    var start = max(0, 0x100000 - head), left = 0x10000, parts: [Bytes] = []
    for (_, bytes) in tensors {
      let own = min(max(bytes.count - start, 0), left)
      if own > 0 { parts.append(bytes[start..<start + own]) }
      start = max(0, start - bytes.count)
      left -= own
    }
    return String(ContentHash.sha256(parts: parts).prefix(8))
  }

  private static func isCanonical(_ file: SafetensorsFile) -> Bool {
    let places = file.entries.sorted { $0.range.lowerBound < $1.range.lowerBound }
    return zip(places, places.dropFirst()).allSatisfy { item($0).precedes(item($1)) }
  }

  private static func item(_ entry: SafetensorsFile.Entry) -> SafetensorsLayout.Item {
    .init(name: entry.name, dtype: entry.dtype, shape: entry.shape)
  }

  private static func inOrder(_ file: SafetensorsFile) -> [(item: SafetensorsLayout.Item, bytes: Bytes)] {
    file.entries.map { (item($0), file.data[$0.range]) }.sorted { $0.0.precedes($1.0) }
  }
}

extension String {
  /// Without the `0x` that some writers put before a hash, in small letters.
  fileprivate var hashDigits: String {
    let text = lowercased()
    return text.hasPrefix("0x") ? text.dropping(prefix: "0x") : text
  }
}
