public import Safetensors
import Tensors

/// The tensors of a file written by `torch.save`, read without running anything: a zip archive, or the pickles of torch
/// before 1.6.
///
/// Storages stay where they lie in the file; opening reads only the pickle.
public struct TorchPickle: Sendable {
  public enum Contents: Sendable {
    /// A plain list of tensors, as the adapters of 2022 have it.
    case list([TorchView])
    /// Names and tensors in the pickle's order, each name once; `state_dict` and the like are unwrapped, other values
    /// left out.
    case dictionary([(name: String, view: TorchView)])
  }

  public let contents: Contents
  /// Values of the dictionary that are no tensors, by name.
  public let ignored: [String]

  private static let pickleLimit = 32 << 20

  /// Whether the file at hand begins like a zip archive or an old torch pickle.
  public static func recognises(_ beginning: [UInt8]) -> Bool {
    beginning.starts(with: [0x50, 0x4b, 0x03, 0x04]) || isLegacy(beginning)
  }

  private static func isLegacy(_ beginning: [UInt8]) -> Bool {
    beginning.count > 2 && beginning[0] == 0x80 && (2...5).contains(beginning[1]) && beginning[2] == 0x8a
  }

  /// - Throws: `TorchPickleError` naming the first fault.
  public init(_ file: MappedFile) throws(TorchPickleError) {
    let beginning = file.bytes.withUnsafeBytes { Array($0.prefix(LegacyPickle.magic.count)) }
    let heap = PickleHeap()
    defer { heap.clear() }
    if Self.isLegacy(beginning) {
      let pickle = try LegacyPickle(file, limit: Self.pickleLimit, heap: heap)
      var storages = pickle.storages
      (contents, ignored) = try Self.contents(of: pickle.value, in: &storages, path: file.path)
    } else {
      var (value, storages) = try Self.archived(file, heap: heap)
      (contents, ignored) = try Self.contents(of: value, in: &storages, path: file.path)
    }
  }

  private static func archived(
    _ file: MappedFile, heap: PickleHeap
  ) throws(TorchPickleError) -> (PickleValue, ZipStorages) {
    let archive = try ZipArchive(file), path = file.path, names = archive.names
    guard let program = names.first(where: { $0.hasSuffix("/data.pkl") || $0 == "data.pkl" }) else {
      throw TorchPickleError(.missingEntry("data.pkl"), path: path)
    }
    let root = String(program.dropLast("data.pkl".count))
    if names.contains(root + "byteorder") {
      let order = try archive.contents(of: root + "byteorder", limit: 16).withUnsafeBytes {
        String(decoding: $0, as: UTF8.self)
      }
      guard order == "little" else {
        throw TorchPickleError(.entry(name: "byteorder", reason: "expected little, found \(order)"), path: path)
      }
    }
    let bytes = try archive.contents(of: program, limit: UInt64(pickleLimit))
    let outcome = bytes.withUnsafeBytes { text in
      Result { () throws(TorchPickleError) in try PickleMachine.run(text, path: path, heap: heap) }
    }
    return (try outcome.get().value, ZipStorages(archive, of: file, root: root))
  }

  private static func contents(
    of value: PickleValue, isUnwrapped: Bool = false, in storages: inout some TorchStorages, path: String
  ) throws(TorchPickleError) -> (Contents, [String]) {
    switch value {
    case .list(let items):
      var views: [TorchView] = []
      for item in items.value {
        guard case .tensor(let view) = item else { throw TorchPickleError(.noTensors, path: path) }
        views.append(try Self.view(view, in: &storages, path: path))
      }
      return (.list(views), [])
    case .dictionary(let items):
      // Once only: a dictionary may contain itself.
      for wrapper in isUnwrapped ? [] : ["state_dict", "model", "module", "params", "params_ema", "ema"] {
        for case (.string(wrapper), .dictionary(let inner)) in items.value
        where inner.value.contains(where: { $0.value.isTensor }) {
          return try contents(of: .dictionary(inner), isUnwrapped: true, in: &storages, path: path)
        }
      }
      var views: [(String, TorchView)] = [], ignored: [String] = [], places: [String: Int] = [:]
      for case (.string(let name), let item) in items.value {
        guard case .tensor(let stored) = item else {
          ignored.append(name)
          continue
        }
        let view = try Self.view(stored, in: &storages, path: path)
        // A key that is set twice has the later value, as in Python.
        if let place = places[name] {
          views[place].1 = view
        } else {
          places[name] = views.count
          views.append((name, view))
        }
      }
      guard !views.isEmpty else { throw TorchPickleError(.noTensors, path: path) }
      return (.dictionary(views), ignored)
    default: throw TorchPickleError(.noTensors, path: path)
    }
  }

  private static func view(
    _ view: PickleValue.StoredView, in storages: inout some TorchStorages, path: String
  ) throws(TorchPickleError) -> TorchView {
    guard let dtype = StorageType.dtype(view.elementType) else {
      throw TorchPickleError(
        .entry(name: view.storage.key, reason: "expected a known storage type, found \(view.elementType)"), path: path)
    }
    let storage = try storages.storage(view.storage.key)
    let isBytes = StorageType.isUntyped(view.storage.type)
    return try TorchView(
      view, dtype, of: storage, count: isBytes ? view.storage.count / (dtype.bits / 8) : view.storage.count, path: path)
  }
}

extension PickleValue {
  fileprivate var isTensor: Bool { if case .tensor = self { true } else { false } }
}
