import GGUF
import Safetensors
import Tensors

/// The beginning of a base file, and where its tensors lay.
struct OriginalHead: Sendable {
  /// A tensor of the base's file.
  struct Entry: Sendable {
    let name: String
    let dtype: DType
    /// Of what is stored, as a checkpoint has it.
    let shape: Shape
    /// Counted from the end of the head.
    let range: Range<Int>
    /// The blocks of a GGUF file's tensor.
    var format: GGUFFormat?
  }

  let bytes: [UInt8]
  let entries: [String: Entry]
  let fileCount: Int
  /// Where the bytes begin that the base's hash is of.
  let contentStart: Int

  /// - Throws: `SafetensorsError` for a header that is none.
  init(safetensors bytes: [UInt8], path: String) throws {
    let entries = try SafetensorsFile.entries(head: Bytes(copying: bytes), path: path)
    self.bytes = bytes
    self.entries = Dictionary(
      uniqueKeysWithValues: entries.map {
        ($0.name, Entry(name: $0.name, dtype: $0.dtype, shape: $0.shape, range: $0.range))
      })
    let (end, overflow) = bytes.count.addingReportingOverflow(entries.map(\.range.upperBound).max() ?? 0)
    fileCount = overflow ? .max : end
    contentStart = bytes.count
  }

  /// - Throws: `GGUFError` for a header that is none.
  init(gguf bytes: [UInt8], fileCount: Int, path: String) throws {
    let entries = try GGUFFile.entries(head: Bytes(copying: bytes), fileCount: fileCount, path: path)
    self.bytes = bytes
    self.entries = Dictionary(
      uniqueKeysWithValues: entries.map { entry in
        let range = max(entry.place.lowerBound - bytes.count, 0)..<max(entry.place.upperBound - bytes.count, 0)
        return (
          entry.name,
          Entry(name: entry.name, dtype: entry.format.dtype, shape: entry.shape, range: range, format: entry.format)
        )
      })
    self.fileCount = fileCount
    contentStart = 0
  }
}
