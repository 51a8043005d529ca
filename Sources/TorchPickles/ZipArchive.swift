import CZip
import Files
import Tensors

/// The entries of a zip file, read through libzip.
final class ZipArchive {
  private let file: MappedFile
  private let handle: OpaquePointer

  init(_ file: MappedFile) throws(TorchPickleError) {
    self.file = file
    var error = zip_error_t()
    zip_error_init(&error)
    defer { zip_error_fini(&error) }
    // The archive reads the mapping, which this object keeps, so that everything comes from one and the same file.
    let source = file.bytes.withUnsafeBytes {
      zip_source_buffer_create($0.baseAddress, zip_uint64_t($0.count), 0, &error)
    }
    guard let source, let handle = zip_open_from_source(source, ZIP_RDONLY, &error) else {
      let reason = String(cString: zip_error_strerror(&error))
      zip_source_free(source)
      throw TorchPickleError(.notAnArchive(reason: reason), path: file.path)
    }
    self.handle = handle
  }

  deinit { zip_discard(handle) }

  var names: [String] {
    (0..<zip_get_num_entries(handle, 0)).compactMap {
      zip_get_name(handle, zip_uint64_t($0), 0).map { String(cString: $0) }
    }
  }

  /// The contents of the entry called `name`.
  ///
  /// - Parameter limit: the most bytes the entry may unpack to, so that a small file cannot fill the memory.
  func contents(of name: String, limit: UInt64) throws(TorchPickleError) -> Bytes {
    var status = zip_stat_t()
    zip_stat_init(&status)
    guard zip_stat(handle, name, 0, &status) == 0 else {
      throw TorchPickleError(.missingEntry(name), path: file.path)
    }
    // What the directory claims must fit into the file: deflate packs at most 1032 bytes into one, storing packs none.
    let packed = min(status.comp_size, UInt64(file.count))
    let possible =
      status.comp_method == ZIP_CM_STORE ? packed : packed.multipliedReportingOverflow(by: 1032).partialValue
    guard status.size <= min(limit, possible) else {
      throw TorchPickleError(.tooLarge(entry: name, bytes: status.size), path: file.path)
    }
    guard let entry = zip_fopen(handle, name, 0) else {
      throw TorchPickleError(.entry(name: name, reason: String(cString: zip_strerror(handle))), path: file.path)
    }
    defer { zip_fclose(entry) }
    var count = 0
    let bytes = Bytes(count: Int(status.size)) { target in
      while count < target.count {
        let read = zip_fread(entry, target.baseAddress! + count, zip_uint64_t(target.count - count))
        guard read > 0 else { return }
        count += Int(read)
      }
    }
    guard count == Int(status.size) else {
      throw TorchPickleError(
        .entry(name: name, reason: "expected \(status.size) bytes, found \(count)"), path: file.path)
    }
    // Only behind the last byte does the library look at the checksum.
    var more: UInt8 = 0
    guard zip_fread(entry, &more, 1) == 0 else {
      throw TorchPickleError(
        .entry(name: name, reason: "expected \(status.size) bytes of the entry's checksum, found others"),
        path: file.path)
    }
    return bytes
  }
}
