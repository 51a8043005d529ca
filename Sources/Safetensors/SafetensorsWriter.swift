import Dispatch
public import Files
import Synchronization
public import Tensors

/// Writes a safetensors file whose layout is known beforehand, tensor by tensor, in any order, from any thread.
///
/// Nothing appears at the destination before `commit`; `seal` reads every byte back from the file and compares it with
/// the checksum taken when it was handed over.
public final class SafetensorsWriter: Sendable {
  /// Which tensors are expected, and where each goes.
  public let layout: SafetensorsLayout
  /// What is written, for a commit together with others.
  package let file: TemporaryFile
  private let headCount: Int
  private let digests: Digests

  /// - Throws: `FileError`: `exists`, `isInput` or `notWritable`.
  public convenience init(
    layout: SafetensorsLayout, destination: String, overwriting: Bool
  ) throws(FileError) {
    self.init(layout: layout, file: try TemporaryFile(for: destination, overwriting: overwriting))
  }

  /// Writes into a file that is there already, and empty.
  public init(layout: SafetensorsLayout, file: TemporaryFile) {
    (self.layout, self.file) = (layout, file)
    headCount = layout.head().count
    digests = Digests()
  }

  /// Writes one tensor's bytes.
  ///
  /// - Precondition: the layout has a tensor called `name` of this size, which was not written before.
  public func write(_ bytes: UnsafeRawBufferPointer, of name: String) throws(FileError) {
    let range = layout.range(of: name)
    precondition(bytes.count == range.count, "\(name) has \(range.count) bytes, not \(bytes.count)")
    try write(bytes, of: name, at: 0)
  }

  /// Writes a part of one tensor's bytes, which begins at `offset` in it. Parts of some megabytes are verified fastest.
  ///
  /// - Precondition: the part lies in the tensor and was not written before.
  public func write(_ bytes: UnsafeRawBufferPointer, of name: String, at offset: Int) throws(FileError) {
    let range = layout.range(of: name), start = range.lowerBound + offset
    precondition(offset >= 0 && start + bytes.count <= range.upperBound, "a part outside \(name)")
    guard !bytes.isEmpty else { return }
    try file.write(bytes, at: headCount + start)
    digests.record(bytes, at: start)
  }

  /// Where the unfinished file lies after `seal`, for a reader to try it.
  public var temporaryPath: String { file.path }

  /// Verifies the data and writes the header: the file is complete, but does not have its name yet.
  ///
  /// - Parameter finalMetadata: makes the final metadata from the bytes of the data section; the header must keep its
  ///   length, so values may only be replaced by others of equal length. `nil` keeps the layout's.
  /// - Throws: `FileError`: `verification` when the disk holds other bytes than were written, or when a part was
  ///   not written exactly once; or a write error.
  public func seal(
    metadata finalMetadata: (@Sendable (_ data: Bytes) throws -> [(key: String, value: String)])? = nil
  ) throws {
    try layout.head().write(to: file)
    let data = try MappedFile(path: file.path).bytes[headCount..<headCount + layout.dataCount]
    // Reading back and hashing the whole take equally long, and the disk has work of its own: they run side by side.
    let metadata = Mutex<Result<[(key: String, value: String)], any Error>?>(nil)
    let verdict = Mutex<Result<Void, FileError>?>(nil), synced = Mutex<Result<Void, FileError>?>(nil)
    DispatchQueue.concurrentPerform(iterations: 3) { turn in
      if turn == 0 {
        let outcome = Result { () throws(FileError) in try file.sync() }
        synced.withLock { $0 = outcome }
      } else if turn == 1 {
        let outcome = Result { () throws(FileError) in
          try digests.verify(count: layout.dataCount, in: data, path: file.path, name: layout.name(at:))
        }
        verdict.withLock { $0 = outcome }
      } else if let finalMetadata {
        let outcome = Result { try finalMetadata(data) }
        metadata.withLock { $0 = outcome }
      }
    }
    try synced.withLock { $0! }.get()
    try verdict.withLock { $0! }.get()
    guard let final = try metadata.withLock({ $0 })?.get() else { return }
    let head = SafetensorsLayout(inOrder: layout.places.map(\.item), metadata: final).head()
    precondition(head.count == headCount, "final metadata must keep the header's length")
    try head.write(to: file)
  }

  /// Syncs the sealed file and gives it its name.
  public func commit() throws(FileError) { try file.commit() }
}

extension SafetensorsLayout {
  /// The tensor that holds a byte of the data section.
  fileprivate func name(at offset: Int) -> String {
    places.first { $0.range.contains(offset) }?.item.name ?? "a tensor"
  }
}

extension [UInt8] {
  fileprivate func write(to file: TemporaryFile) throws(FileError) {
    let outcome = withUnsafeBytes { bytes in Result { () throws(FileError) in try file.write(bytes, at: 0) } }
    try outcome.get()
  }
}
