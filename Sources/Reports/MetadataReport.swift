import Factoring
public import JSON
public import Metadata
public import Safetensors
import Tensors

/// A hash in a file's metadata against the tensors.
struct MetadataHashRow: Encodable, Sendable {
  var key: String
  var stored: String
  var actual: String
  var matches: Bool

  init(_ entry: MetadataHashes.Entry) {
    (key, stored, actual, matches) = (entry.key, entry.stored, entry.actual, entry.matches)
  }
}

/// A file's metadata.
public struct MetadataReport: JSONReport {
  public static let schema = "lathe.metadata/1"

  /// Path of the file that was read.
  public let file: String
  let metadata: [String: String]
  let hashes: [MetadataHashRow]

  private let order: [String]

  private enum CodingKeys: String, CodingKey { case file, metadata, hashes }

  /// - Parameter keys: the only ones to show; all when empty.
  public init(_ file: SafetensorsFile, keys: [String], hashes: MetadataHashes?) {
    self.file = file.path
    let entries = file.metadata.filter { keys.isEmpty || keys.contains($0.key) }
    metadata = Dictionary(entries.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    var seen: Set<String> = []
    order = entries.map(\.key).filter { seen.insert($0).inserted }
    self.hashes = hashes?.entries(for: entries).map(MetadataHashRow.init) ?? []
  }

  /// Hashes that no longer fit the tensors, as warnings.
  public var warnings: [String] {
    hashes.filter { !$0.matches }.map {
      "\(file): \($0.key): expected \($0.actual), found \($0.stored); the tensors changed after it was written"
    }
  }

  /// One entry's bare value, or a line for each of several.
  public func text(isBare: Bool) -> String {
    if isBare, order.count == 1 { return metadata[order[0]]! + "\n" }
    return order.map { "\($0) = \(metadata[$0]!)\n" }.joined()
  }
}

/// What a change of metadata wrote, or would write.
public struct MetadataEditReport: JSONReport {
  /// The same as that of `MetadataReport`: one with `output` is about a change.
  public static let schema = "lathe.metadata/1"

  struct ChangeRow: Encodable, Sendable {
    var key: String
    @Explicit var before: String? = nil
    @Explicit var after: String? = nil
  }

  let file: String
  /// Path of the changed file; in a dry run, of what would be written.
  public let output: String
  let bytes: Int
  let dryRun: Bool
  let changes: [ChangeRow]
  let missing: [String]
  let hashes: [MetadataHashRow]

  /// - Parameters:
  ///   - output: where the edit went or would go.
  ///   - isDryRun: whether nothing was written.
  public init(_ edit: MetadataEdit, output: String, isDryRun: Bool) {
    file = edit.file.path
    self.output = output
    bytes = edit.byteCount
    dryRun = isDryRun
    changes = edit.differences.map { ChangeRow(key: $0.key, before: $0.before, after: $0.after) }
    missing = edit.missing
    hashes = edit.hashes.map(MetadataHashRow.init)
  }

  /// A line for each entry that was added, removed or changed; values are cut to 100 characters, whatever `width` is.
  public func text(width: Int) -> String {
    var lines = ["\(output)\(dryRun ? "   (dry run: nothing was written)" : "")"]
    func row(_ label: String, _ value: String) { lines.append("  " + label.padded(to: 10) + value) }
    row("size", "\(Numbers.grouped(bytes)) bytes (\(ByteCount(bytes)))")
    for change in changes {
      func shown(_ value: String) -> String { value.shortened(to: 100) }
      switch (change.before, change.after) {
      case (nil, let after?): row("added", "\(change.key) = \(shown(after))")
      case (let before?, nil): row("removed", "\(change.key): \(shown(before))")
      case (let before?, let after?): row("changed", "\(change.key): \(shown(before)) → \(shown(after))")
      case (nil, nil): break
      }
    }
    if changes.isEmpty { row("changed", "nothing") }
    for key in missing { row("not there", key) }
    return lines.joined(separator: "\n") + "\n"
  }
}
