import Files
import GGUF
import Safetensors
import Tensors

/// Where the files of a checkpoint that is written go: one file, or a folder that appears when all of them are there.
struct CheckpointOutput {
  private let output: String
  private let overwriting: Bool
  private let folder: StagedFolder?

  init(_ output: String, isFolder: Bool, overwriting: Bool) throws {
    self.output = output.hasSuffix("/") ? String(output.dropLast()) : output
    self.overwriting = overwriting
    folder = isFolder ? try StagedFolder(for: output) : nil
  }

  func writer(for relativePath: String, layout: CheckpointLayout) throws -> any CheckpointWriter {
    let file = try file(for: relativePath)
    switch layout {
    case .safetensors(let layout): return SafetensorsWriter(layout: layout, file: file)
    case .gguf(let layout): return try GGUFWriter(layout: layout, file: file)
    }
  }

  /// A file that is written by hand.
  func file(for relativePath: String) throws -> TemporaryFile {
    guard let folder else { return try TemporaryFile(for: output, overwriting: overwriting) }
    return try folder.file(relativePath)
  }

  /// Copies a file that belongs to the checkpoint's folder, byte for byte.
  func copy(_ relativePath: String, fromFolder source: String) throws {
    try write(MappedFile(path: "\(source)/\(relativePath)").bytes, to: relativePath)
  }

  /// Writes a small file whole.
  func write(_ bytes: Bytes, to relativePath: String) throws {
    let file = try file(for: relativePath)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    try file.commit()
  }

  /// What a file is called in the end.
  func finalPath(of relativePath: String) -> String { folder == nil ? output : "\(output)/\(relativePath)" }

  /// Completes all files, and gives the file or the folder its name, and with it the others theirs.
  ///
  /// - Parameters:
  ///   - files: of the output.
  ///   - others: which get their names before the output.
  func commit(_ files: [TemporaryFile], with others: [TemporaryFile] = []) throws {
    guard let folder else { return try Publication.publish(others + files) }
    for file in files { try file.commit() }
    try Publication.publish(others + [folder])
  }
}
