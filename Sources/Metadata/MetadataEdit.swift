import Factoring
import Files
import FoundationEssentials
public import Safetensors
import Tensors

/// A change of a safetensors file's metadata: the header is written anew, and the tensors' bytes are copied as they are.
public struct MetadataEdit: Sendable {
  /// One step of an edit; steps are taken in their order.
  public enum Change: Sendable {
    case set([(key: String, value: String)])
    case strip([String])
    /// Removes what tells about the person who trained the file: folders, comments, machines; paths keep their last part.
    case stripPrivate
  }

  /// An entry that the edit changes.
  public struct Difference: Sendable {
    /// The entry's name in the metadata.
    public let key: String
    /// `nil` for a new entry.
    public let before: String?
    /// `nil` for one that is removed.
    public let after: String?
  }

  /// The file whose metadata are changed; of a PEFT folder the one with its tensors.
  public let file: SafetensorsFile
  /// What will be written.
  public let metadata: [(key: String, value: String)]
  /// What is different in the result, by key; empty where the edit changes nothing.
  public let differences: [Difference]
  /// Keys that were to be removed and are not there.
  public let missing: [String]
  /// Hashes of the tensors that the result holds, right ones; with what the file held.
  public let hashes: [MetadataHashes.Entry]

  /// Works out what will be different. Reads the whole file where it holds hashes.
  ///
  /// - Parameter path: a safetensors file, adapter or checkpoint, or the folder of a PEFT adapter.
  /// - Throws: `FileError`, `SafetensorsError`.
  public init(_ changes: [Change], of path: String) throws {
    file = try SafetensorsFile(path: Self.file(at: path))
    var new = MetadataList(), missing: [String] = []
    // Of repeated keys the last counts.
    for entry in file.metadata { new.set(entry.key, entry.value) }
    let old = new.entries
    for change in changes {
      switch change {
      case .set(let entries): for entry in entries { new.set(entry.key, entry.value) }
      case .strip(let keys):
        missing += keys.filter { new[$0] == nil }
        new.removeAll(Set(keys))
      case .stripPrivate:
        new = new.entries.reduce(into: MetadataList()) { kept, entry in
          if let value = PrivateMetadata.scrubbed(entry.key, entry.value) { kept.set(entry.key, value) }
        }
      }
    }
    if MetadataHashes.keys.contains(where: { new[$0] != nil }) {
      let found = MetadataHashes(of: file).entries(for: new.entries)
      for entry in found { new.set(entry.key, entry.actual) }
      hashes = found
    } else {
      hashes = []
    }
    metadata = new.entries
    self.missing = missing
    let before = Dictionary(uniqueKeysWithValues: old.map { ($0.key, $0.value) })
    let after = Dictionary(uniqueKeysWithValues: metadata.map { ($0.key, $0.value) })
    differences = Set(before.keys).union(after.keys).sorted().filter { before[$0] != after[$0] }.map {
      Difference(key: $0, before: before[$0], after: after[$0])
    }
  }

  /// The size of the result in bytes.
  public var byteCount: Int { layout.fileCount }

  /// Writes the result; memory stays at some megabytes, however large the file is.
  ///
  /// - Parameters:
  ///   - output: the file itself to change it in place, which needs `overwriting`.
  ///   - overwriting: whether an existing file may be replaced.
  /// - Throws: `FileError`, `SafetensorsError`.
  public func write(to output: String, overwriting: Bool) throws {
    let writer = SafetensorsWriter(
      layout: layout,
      file: try TemporaryFile(for: output, overwriting: overwriting, inPlaceOf: [file.path]))
    for entry in file.entries {
      for start in stride(from: 0, to: entry.range.count, by: 4 << 20) {
        let end = min(start + (4 << 20), entry.range.count)
        let part = file.data[entry.range.lowerBound + start..<entry.range.lowerBound + end]
        try part.withUnsafeBytes { try writer.write($0, of: entry.name, at: start) }
        part.forget()
      }
    }
    try writer.seal()
    try writer.commit()
  }

  /// The tensors stand where they stood, counted from the beginning of the data.
  private var layout: SafetensorsLayout {
    let order = file.entries.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    return SafetensorsLayout(
      inOrder: order.map { .init(name: $0.name, dtype: $0.dtype, shape: $0.shape) }, metadata: metadata)
  }

  /// The file of tensors at `path`, which may be the folder of an adapter.
  public static func file(at path: String) -> String {
    var isFolder = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder else { return path }
    let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
    let names = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"]
    return names.map { "\(folder)/\($0)" }.first { FileManager.default.fileExists(atPath: $0) }
      ?? "\(folder)/\(names[0])"
  }
}
