import Files
import GGUF
import Safetensors

/// A file of the output, in the container that was asked for.
protocol CheckpointWriter: Sendable {
  typealias Texts = [(key: String, value: String)]

  /// The size of the file in bytes.
  var fileCount: Int { get }
  func write(_ bytes: UnsafeRawBufferPointer, of name: String, at offset: Int) throws
  /// Verifies what was written, and puts the final metadata, of the planned length, into the header.
  func seal(_ metadata: @escaping @Sendable () throws -> Texts) throws
  /// The file, which has no name yet.
  var file: TemporaryFile { get }
}

/// What goes into a file of the output.
enum CheckpointLayout {
  case safetensors(SafetensorsLayout)
  case gguf(GGUFLayout)
}

extension SafetensorsWriter: CheckpointWriter {
  var fileCount: Int { layout.fileCount }
  func seal(_ metadata: @escaping @Sendable () throws -> Texts) throws { try seal { _ in try metadata() } }
}

extension GGUFWriter: CheckpointWriter {
  func seal(_ metadata: @escaping @Sendable () throws -> Texts) throws { try seal(texts: metadata()) }
}
