import Files
import Tensors

/// A file as torch wrote it before 1.6: five pickles, one behind another, and then the storages.
///
/// Source: `torch/serialization.py`, `_legacy_save`.
struct LegacyPickle {
  let value: PickleValue
  let storages: LegacyStorages

  /// The first pickle: protocol 2, and the number 0x1950a86a20f9469cfc6c.
  static let magic: [UInt8] = [
    0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
  ]
  private static let version = 1001

  /// - Parameters:
  ///   - limit: the most bytes of one pickle.
  ///   - heap: owns the containers of the result.
  init(_ file: MappedFile, limit: Int, heap: PickleHeap) throws(TorchPickleError) {
    let path = file.path, bytes = file.bytes
    var place = Self.magic.count
    func next() throws(TorchPickleError) -> PickleMachine.Outcome {
      let part = bytes[place..<min(place + limit, bytes.count)]
      let outcome = part.withUnsafeBytes { text in
        Result { () throws(TorchPickleError) in
          try PickleMachine.run(text, path: path, heap: heap, startingAt: place)
        }
      }
      let result = try outcome.get()
      place += result.count
      return result
    }
    guard bytes.count >= place,
      bytes[0..<place].withUnsafeBytes({ $0.dropFirst(2).elementsEqual(Self.magic.dropFirst(2)) })
    else { throw TorchPickleError(.legacy(reason: "expected torch's number at the beginning"), path: path) }
    guard case .int(Self.version) = try next().value else {
      throw TorchPickleError(.legacy(reason: "expected version \(Self.version)"), path: path)
    }
    guard case .dictionary(let system) = try next().value else {
      throw TorchPickleError(.legacy(reason: "expected a dictionary about the system"), path: path)
    }
    for case (.string("little_endian"), .bool(false)) in system.value {
      throw TorchPickleError(.entry(name: "little_endian", reason: "expected true, found false"), path: path)
    }
    let object = try next()
    guard case .list(let list) = try next().value else {
      throw TorchPickleError(.legacy(reason: "expected a list of storages"), path: path)
    }
    var keys: [String] = []
    for item in list.value {
      guard case .string(let key) = item else {
        throw TorchPickleError(.legacy(reason: "expected names of storages"), path: path)
      }
      keys.append(key)
    }
    let sizes = object.storageTypes.mapValues { StorageType.elementSize($0) }
    value = object.value
    storages = try LegacyStorages(file, keys: keys, elementSizes: sizes, from: place)
  }
}
