import Adapters
public import Checkpoints
import Files
import Foundation
public import LinearAlgebra
import Safetensors
import Tensors

/// The return from a baked checkpoint to the base it was made from.
public struct Unbake: Sendable {
  /// What was restored.
  public struct Result: Sendable {
    /// The checkpoint's file or folder, as the user named it.
    public let output: String
    /// The size of all files with weights together.
    public let bytes: Int
    /// Each file with the SHA-256 of its data section, which is the base's.
    public let files: [(path: String, contentSHA256: String)]

    /// What was written and checked.
    public init(output: String, bytes: Int, files: [(path: String, contentSHA256: String)]) {
      (self.output, self.bytes, self.files) = (output, bytes, files)
    }
  }

  /// The checkpoint to restore from.
  public let baked: Checkpoint
  /// What its bake wrote down, which must belong to it.
  public let undo: UndoFile

  /// - Throws: an error of a file's room, or `BakingError` when the two do not belong together.
  public init(baked path: String, undo: UndoFile) throws {
    baked = try Checkpoint(path: path)
    self.undo = undo
    guard baked.isFolder == undo.record.isFolder, baked.files.count == undo.record.files.count else {
      throw BakingError(
        .otherBake(
          weight: "files", expected: "\(undo.record.files.count)", found: "\(baked.files.count)"), path: path)
    }
    // A folder's files have the base's names.
    for (own, file) in zip(baked.files, undo.record.files) where baked.isFolder && own.relativePath != file.path {
      throw BakingError(.otherBake(weight: "files", expected: file.path, found: own.relativePath), path: path)
    }
    for weight in undo.record.weights {
      let found = baked.index(of: weight.name, inFile: weight.file).map { baked.weights[$0] }
      guard found?.stored.dtype.rawValue == weight.dtype else {
        throw BakingError(
          .otherBake(
            weight: weight.name, expected: weight.dtype ?? "no such tensor",
            found: found?.stored.dtype.rawValue ?? "no such tensor"), path: path)
      }
    }
  }

  /// How many weights the base has.
  public var weightCount: Int { undo.record.weights.count }

  /// The size of what is restored.
  public var byteCount: Int {
    get throws { try undo.record.files.indices.reduce(0) { try $0 + head($1).fileCount } }
  }

  /// Restores the base, verifies it by hash, and only then gives it its name.
  public func write(
    to output: String, overwriting: Bool, threads: Int, progress: WorkProgress? = nil
  ) throws -> Result {
    try DiskSpace.require(byteCount, for: output)
    let place = try CheckpointOutput(output, isFolder: baked.isFolder, overwriting: overwriting)
    let heads = try undo.record.files.indices.map(head)
    let files = try undo.record.files.map { try place.file(for: $0.path) }
    for (file, head) in zip(files, heads) {
      // What lies between and behind the tensors is zeros.
      try withUnsafeBytes(of: UInt8(0)) { try file.write($0, at: max(head.fileCount - 1, 0)) }
      try head.bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }
    let restorer = try WeightRestorer(undo, baked: baked, heads: heads, files: files)
    _ = try concurrentMap(
      count: undo.record.weights.count, threads: threads, progress: progress, workspace: AdditionWorkspace.init
    ) { index, workspace in try restorer.restore(index, in: workspace) }
    var hashes: [String] = []
    for (index, file) in files.enumerated() {
      let bytes = try MappedFile(path: file.path).bytes
      guard bytes.count == heads[index].fileCount else {
        throw BakingError(
          .undo(reason: "found no contents for the end of \(undo.record.files[index].path)"), path: undo.path)
      }
      let hash = ContentHash.sha256(streaming: bytes[heads[index].contentStart..<bytes.count])
      let expected = undo.record.files[index].contentSHA256
      guard hash == expected else {
        throw BakingError(
          .notRestored(file: undo.record.files[index].path, expected: expected, found: hash), path: baked.path)
      }
      hashes.append(hash)
    }
    for companion in baked.companions {
      if let bytes = try undo.companion(companion) {
        try place.write(bytes, to: companion)
      } else {
        try place.copy(companion, fromFolder: baked.folder)
      }
    }
    try place.commit(files)
    return Result(
      output: output, bytes: heads.reduce(0) { $0 + $1.fileCount },
      files: zip(undo.record.files, hashes).map { (place.finalPath(of: $0.path), $1) })
  }

  /// A petabyte: sums of such numbers do not overflow.
  private static let largestFile = 1 << 50

  private func head(_ file: Int) throws -> OriginalHead {
    let record = undo.record.files[file], bytes = try undo.head(ofFile: file)
    let head =
      try record.ggufCount.map { try OriginalHead(gguf: bytes, fileCount: $0, path: undo.path) }
      ?? OriginalHead(safetensors: bytes, path: undo.path)
    guard head.fileCount <= Self.largestFile,
      head.entries.values.allSatisfy({ $0.range.upperBound <= Self.largestFile })
    else { throw BakingError(.undo(reason: "found a file of impossible size in it"), path: undo.path) }
    return head
  }
}
