public import Files

/// Writes a GGUF file whose layout is known beforehand, tensor by tensor, in any order, from any thread.
///
/// Nothing appears at the destination before `commit`; `seal` reads every byte back from the file and compares it with
/// the checksum taken when it was handed over.
public final class GGUFWriter: Sendable {
  /// Which tensors are expected, and where each goes.
  public let layout: GGUFLayout
  /// What is written, for a commit together with others.
  package let file: TemporaryFile
  private let headCount: Int
  private let digests = Digests()
  private let ranges: [String: Range<Int>]

  /// - Throws: `FileError`: `exists`, `isInput` or `notWritable`.
  public convenience init(layout: GGUFLayout, destination: String, overwriting: Bool) throws(FileError) {
    try self.init(layout: layout, file: TemporaryFile(for: destination, overwriting: overwriting))
  }

  /// Writes into a file that is there already, and empty.
  ///
  /// - Throws: `FileError.system`.
  public init(layout: GGUFLayout, file: TemporaryFile) throws(FileError) {
    (self.layout, self.file) = (layout, file)
    headCount = layout.head().count
    ranges = Dictionary(uniqueKeysWithValues: layout.places.map { ($0.item.name, $0.range) })
    var end = 0
    for (_, range) in layout.places {
      if range.lowerBound > end { try write([UInt8](repeating: 0, count: range.lowerBound - end), at: end) }
      end = range.upperBound
    }
  }

  /// The size of the file in bytes.
  public var fileCount: Int { headCount + layout.dataCount }

  /// Writes a part of one tensor's bytes, which begins at `offset` in it.
  ///
  /// - Precondition: the part lies in the tensor and was not written before.
  public func write(_ bytes: UnsafeRawBufferPointer, of name: String, at offset: Int) throws(FileError) {
    let range = ranges[name]!, start = range.lowerBound + offset
    precondition(offset >= 0 && start + bytes.count <= range.upperBound, "a part outside \(name)")
    guard !bytes.isEmpty else { return }
    try file.write(bytes, at: headCount + start)
    digests.record(bytes, at: start)
  }

  /// Verifies the data and writes the header with these texts: the file is complete, but does not have its name yet.
  ///
  /// - Precondition: the texts are as long as the layout's.
  /// - Throws: `FileError`: `verification` when the disk holds other bytes than were written, or when a part was
  ///   not written exactly once; or a write error.
  public func seal(texts: [(key: String, value: String)]) throws(FileError) {
    let head = layout.with(texts: texts).head()
    precondition(head.count == headCount, "final metadata must keep the header's length")
    let outcome = head.withUnsafeBytes { bytes in
      Result { () throws(FileError) in try file.write(bytes, at: 0) }
    }
    try outcome.get()
    try file.sync()
    let data = try MappedFile(path: file.path).bytes[headCount..<fileCount]
    let places = layout.places
    try digests.verify(count: layout.dataCount, in: data, path: file.path) { offset in
      places.first { $0.range.contains(offset) }?.item.name ?? "a tensor"
    }
  }

  /// Syncs the sealed file and gives it its name.
  public func commit() throws(FileError) { try file.commit() }

  private func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    let outcome = bytes.withUnsafeBytes { bytes in
      Result { () throws(FileError) in
        try file.write(bytes, at: headCount + offset)
        digests.record(bytes, at: offset)
      }
    }
    try outcome.get()
  }
}
