public import Codecs
public import Files
public import Tensors

/// A GGUF file, mapped and validated: metadata, and tensors as what they stand for.
///
/// Versions 2 and 3, little-endian. Everything the header claims is checked once, on opening. Format:
/// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
public struct GGUFFile: Sendable {
  /// One tensor, as the header describes it.
  public struct Entry: Sendable {
    /// Full name in the file.
    public let name: String
    /// How its numbers are stored, perhaps in blocks.
    public let format: GGUFFormat
    /// In C order, as everybody but ggml has it: the last extent is a row's. Of a tensor that was reshaped to fit into the
    /// format, the shape that it had before.
    public let shape: Shape
    /// As the file has it, in C order too.
    public let storedShape: Shape
    /// The tensor's bytes, counted from the beginning of the file.
    public let place: Range<Int>
  }

  /// As it was given.
  public let path: String
  /// Of the format: 2 or 3.
  public let version: UInt32
  /// In the file's order. Text from strangers: show it, never run or trust it.
  public let fields: [GGUFField]
  /// In the header's order.
  public let entries: [Entry]
  /// What the places of tensors are multiples of.
  public let alignment: Int
  /// The whole file.
  public let bytes: Bytes
  /// Everything before the data.
  public let head: Bytes

  /// Whether a file begins like this one does.
  public static func recognises(_ beginning: [UInt8]) -> Bool { beginning.starts(with: "GGUF".utf8) }

  /// The beginning of the keys under which reshaped tensors have the shape they had.
  static let originalShape = "comfy.gguf.orig_shape."

  /// - Throws: `GGUFError` naming the first fault.
  public init(_ file: MappedFile) throws(GGUFError) {
    let outcome = file.bytes.withUnsafeBytes { bytes in
      Result { () throws(GGUFError) in try GGUFHeader(bytes, fileCount: bytes.count, path: file.path) }
    }
    let header = try outcome.get()
    path = file.path
    bytes = file.bytes
    head = bytes[0..<min(header.dataStart, bytes.count)]
    (version, fields, alignment, entries) = (header.version, header.fields, header.alignment, header.entries)
  }

  /// The tensors of a file of which only the beginning is there.
  ///
  /// - Parameters:
  ///   - head: everything before the data.
  ///   - fileCount: the size of the whole file.
  /// - Throws: `GGUFError` naming the first fault.
  public static func entries(head: Bytes, fileCount: Int, path: String) throws(GGUFError) -> [Entry] {
    let outcome = head.withUnsafeBytes { bytes in
      Result { () throws(GGUFError) in
        guard recognises(Array(bytes.prefix(16))) else { throw GGUFError(.version(0), path: path) }
        return try GGUFHeader(bytes, fileCount: fileCount, path: path)
      }
    }
    return try outcome.get().entries
  }

  /// Whether nothing but zeros stands between tensors and behind them.
  public var hasZeroPadding: Bool {
    var end = head.count
    let places = entries.map(\.place).sorted { $0.lowerBound < $1.lowerBound }
    for place in places + [bytes.count..<bytes.count] {
      if end < place.lowerBound, !bytes[end..<place.lowerBound].withUnsafeBytes({ $0.allSatisfy { $0 == 0 } }) {
        return false
      }
      end = max(end, place.upperBound)
    }
    return true
  }

  /// The value of a metadata entry.
  public subscript(key: String) -> GGUFField.Value? { fields.first { $0.key == key }?.value }

  /// The metadata that speaks of the model rather than of this file, as text.
  public var texts: [(key: String, value: String)] {
    let ownKeys = ["general.alignment", "general.file_type", "general.quantization_version"]
    return fields.compactMap { field in
      guard !ownKeys.contains(field.key), let text = field.text else { return nil }
      return (field.key, text)
    }
  }

  /// The bytes of a tensor as they are stored.
  public func storedBytes(_ entry: Entry) -> Bytes { bytes[entry.place] }

  /// What reads a tensor that is quantised; `nil` for one whose stored bytes are its numbers.
  public func codec(_ entry: Entry) -> BlockCodec? {
    guard let blocks = entry.format.blocks else { return nil }
    let (rows, columns) = entry.shape.flattened
    return BlockCodec(blocks, rows: rows, columns: columns, bytes: storedBytes(entry))
  }

  /// What a tensor stands for: a view of the file, or, where it is quantised, numbers in single precision, which are computed
  /// whenever they are asked for.
  public func tensor(_ entry: Entry) -> Tensor {
    codec(entry)?.tensor(shape: entry.shape)
      ?? Tensor(dtype: entry.format.dtype, shape: entry.shape, bytes: storedBytes(entry))
  }
}
