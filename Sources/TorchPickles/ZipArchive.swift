import CZip
import Tensors

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The entries of a zip file, read through libzip.
final class ZipArchive {
  private let path: String
  private let handle: OpaquePointer
  private let byteCount: UInt64

  init(path: String) throws(TorchPickleError) {
    var code: Int32 = 0
    guard let handle = zip_open(path, ZIP_RDONLY, &code) else {
      var error = zip_error_t()
      zip_error_init_with_code(&error, code)
      defer { zip_error_fini(&error) }
      throw TorchPickleError(.notAnArchive(reason: String(cString: zip_error_strerror(&error))), path: path)
    }
    var status = stat()
    byteCount = stat(path, &status) == 0 ? UInt64(status.st_size) : 0
    self.path = path
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
    guard zip_stat(handle, name, 0, &status) == 0 else { throw TorchPickleError(.missingEntry(name), path: path) }
    // What the directory claims must fit into the file: deflate packs at most 1032 bytes into one, storing packs none.
    let packed = min(status.comp_size, byteCount)
    let possible =
      status.comp_method == ZIP_CM_STORE ? packed : packed.multipliedReportingOverflow(by: 1032).partialValue
    guard status.size <= min(limit, possible) else {
      throw TorchPickleError(.tooLarge(entry: name, bytes: status.size), path: path)
    }
    guard let entry = zip_fopen(handle, name, 0) else {
      throw TorchPickleError(.entry(name: name, reason: String(cString: zip_strerror(handle))), path: path)
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
      throw TorchPickleError(.entry(name: name, reason: "expected \(status.size) bytes, found \(count)"), path: path)
    }
    return bytes
  }
}
