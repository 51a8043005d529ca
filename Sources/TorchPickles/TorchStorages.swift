import Files
import Tensors

/// The memory of a storage that tensors are views of.
struct TorchStorage {
  let bytes: Bytes
  /// Where it begins in the file; `nil` when it was compressed there.
  let place: Int?
}

/// Where a pickle's storages are.
protocol TorchStorages {
  /// The storage that a pickle refers to as `key`.
  mutating func storage(_ key: String) throws(TorchPickleError) -> TorchStorage
}

/// The storages of a zip archive: entries of their own, mapped where they lie unless they are compressed, which torch
/// itself never does.
struct ZipStorages: TorchStorages {
  private let archive: ZipArchive
  private let file: MappedFile
  private let root: String
  private let places: ZipPlaces
  private var known: [String: TorchStorage] = [:]
  /// How many bytes may still be unpacked.
  private var room: UInt64

  /// Storages of a model pack to no less than this part of themselves, but for small ones that are all zeros.
  private static let packing: UInt64 = 16
  private static let smallRoom: UInt64 = 32 << 20

  /// - Parameter root: the folder of the archive that everything is in, with its slash.
  init(_ archive: ZipArchive, of file: MappedFile, root: String) {
    (self.archive, self.file, self.root) = (archive, file, root)
    places = ZipPlaces(file.bytes)
    room = max(Self.smallRoom, Self.packing * UInt64(file.count))
  }

  mutating func storage(_ key: String) throws(TorchPickleError) -> TorchStorage {
    if let storage = known[key] { return storage }
    let name = root + "data/" + key, storage: TorchStorage
    if let range = places.range(of: name) {
      storage = TorchStorage(bytes: file.bytes[range], place: range.lowerBound)
    } else {
      let bytes = try archive.contents(of: name, limit: room)
      room -= UInt64(bytes.count)
      storage = TorchStorage(bytes: bytes, place: nil)
    }
    known[key] = storage
    return storage
  }
}

/// The storages of a file of torch before 1.6: one behind another after the pickles.
struct LegacyStorages: TorchStorages {
  private let path: String
  private var known: [String: TorchStorage] = [:]

  /// - Parameters:
  ///   - keys: in the file's order.
  ///   - elementSizes: in bytes, by key.
  ///   - start: where the first one is.
  init(
    _ file: MappedFile, keys: [String], elementSizes: [String: Int], from start: Int
  ) throws(TorchPickleError) {
    path = file.path
    var place = start
    for key in keys {
      func fault(_ reason: String) -> TorchPickleError {
        TorchPickleError(.entry(name: key, reason: reason), path: file.path)
      }
      guard let size = elementSizes[key] else { throw fault("expected a storage that the pickle speaks of") }
      guard file.count - place >= 8 else { throw fault("expected a number of elements, found the end of the file") }
      let count = file.bytes[place..<place + 8].withUnsafeBytes {
        UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
      }
      place += 8
      guard let elements = Int(exactly: count), elements <= (file.count - place) / size else {
        throw fault("expected \(count) elements, found \((file.count - place) / size); hint: the file is cut off")
      }
      known[key] = TorchStorage(bytes: file.bytes[place..<place + elements * size], place: place)
      place += elements * size
    }
  }

  func storage(_ key: String) throws(TorchPickleError) -> TorchStorage {
    guard let storage = known[key] else { throw TorchPickleError(.missingEntry(key), path: path) }
    return storage
  }
}
