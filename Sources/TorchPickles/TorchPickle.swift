public import Files
import Tensors

/// The tensors of a file written by `torch.save`, read without running anything: a zip archive, or the pickles of torch
/// before 1.6.
///
/// Storages stay where they lie in the file; opening reads only the pickle.
public struct TorchPickle: Sendable {
  /// The forms in which torch files hold tensors.
  public enum Contents: Sendable {
    /// A plain list of tensors, as the adapters of 2022 have it.
    case list([TorchView])
    /// Names and tensors in the pickle's order, each name once; `state_dict` and the like are unwrapped.
    case dictionary([(name: String, view: TorchView)])
  }

  /// All tensors of the file, none of them read yet.
  public let contents: Contents
  /// Plain numbers that stand where a tensor of one number could, as alphas do.
  public let numbers: [(name: String, value: Double)]
  /// Values that are plainly no weights, by name: `epoch`, the optimizer's state.
  public let leftOut: [String]

  /// One line about what was left out; `nil` for nothing.
  public var warning: String? {
    guard !leftOut.isEmpty else { return nil }
    let shown = leftOut.prefix(6).joined(separator: ", "), more = leftOut.count - 6
    return "no part of the weights, left out: \(shown)\(more > 0 ? " and \(more) more" : "")"
  }

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
      (contents, numbers, leftOut) = try Self.parts(of: pickle.value, in: &storages, path: file.path)
    } else {
      var (value, storages) = try Self.archived(file, heap: heap)
      (contents, numbers, leftOut) = try Self.parts(of: value, in: &storages, path: file.path)
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

  private typealias Parts = (
    contents: Contents, numbers: [(name: String, value: Double)], leftOut: [String]
  )

  private static func parts(
    of value: PickleValue, in storages: inout some TorchStorages, path: String
  ) throws(TorchPickleError) -> Parts {
    switch value {
    case .list(let items):
      var views: [TorchView] = []
      for (index, item) in items.value.enumerated() {
        guard case .tensor(let view) = item else {
          throw TorchPickleError(.value(name: "item \(index)", found: item.words, others: 0), path: path)
        }
        views.append(try Self.view(view, called: "item \(index)", in: &storages, path: path))
      }
      return Parts(contents: .list(views), numbers: [], leftOut: [])
    case .dictionary(let items):
      let state = try PickledState(items.value, path: path)
      var views: [(String, TorchView)] = []
      for (name, view) in state.tensors {
        views.append((name, try Self.view(view, called: name, in: &storages, path: path)))
      }
      return Parts(contents: .dictionary(views), numbers: state.numbers, leftOut: state.leftOut)
    case let value: throw TorchPickleError(.notATensor(found: value.words), path: path)
    }
  }

  private static func view(
    _ view: PickleValue.StoredView, called name: String, in storages: inout some TorchStorages, path: String
  ) throws(TorchPickleError) -> TorchView {
    guard let dtype = StorageType.dtype(view.elementType) else {
      throw TorchPickleError(.value(name: name, found: "a tensor of \(view.elementType)", others: 0), path: path)
    }
    let storage = try storages.storage(view.storage.key)
    let isBytes = StorageType.isUntyped(view.storage.type)
    return try TorchView(
      view, dtype, of: storage, count: isBytes ? view.storage.count / (dtype.bits / 8) : view.storage.count, path: path)
  }
}
