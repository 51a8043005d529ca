import Factoring
import Files
import Synchronization

/// Factors between finding and writing them: a file without a lasting name, so that memory does not grow with the
/// model.
final class ExtractScratch: Sendable {
  private let file: TemporaryFile
  private let end = Mutex(0)

  /// - Parameter output: the file lies beside it.
  init(beside output: String) throws(FileError) {
    let path = output.hasSuffix("/") ? String(output.dropLast()) : output
    file = try TemporaryFile(for: path + ".factors", overwriting: true)
  }

  /// Keeps numbers, from any thread.
  ///
  /// - Returns: where they lie.
  func append(_ values: [Float]) throws(FileError) -> Int {
    let size = 4 * values.count
    let place = end.withLock { end in
      defer { end += size }
      return end
    }
    // `withUnsafeBytes` rethrows untyped, so the typed error travels as a value.
    let outcome = values.withUnsafeBytes { bytes in
      Result { () throws(FileError) in try file.write(bytes, at: place) }
    }
    try outcome.get()
    return place
  }

  /// Everything that was kept.
  func contents() throws(FileError) -> MappedFile { try MappedFile(path: file.path) }
}
