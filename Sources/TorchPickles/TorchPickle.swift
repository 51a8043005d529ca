public import Tensors

/// The tensors of a file written by `torch.save` (zip form, torch 1.6 and later), read without running anything.
public struct TorchPickle: Sendable {
  public enum Contents: Sendable {
    /// A plain list of tensors, as the adapters of 2022 have it.
    case list([Tensor])
    /// Names and tensors in the pickle's order; `state_dict` and the like are unwrapped, other values left out.
    case dictionary([(name: String, tensor: Tensor)])
  }

  public let contents: Contents
  /// Values of the dictionary that are no tensors, by name.
  public let ignored: [String]

  private static let pickleLimit: UInt64 = 64 << 20
  private static let storageLimit: UInt64 = 1 << 40
  /// The most elements of a view that is larger than its storage.
  private static let repetitionLimit = 1 << 20

  /// Whether the file at hand begins like a zip archive or an old torch pickle.
  public static func recognises(_ beginning: [UInt8]) -> Bool {
    beginning.starts(with: [0x50, 0x4b, 0x03, 0x04]) || isLegacy(beginning)
  }

  private static func isLegacy(_ beginning: [UInt8]) -> Bool {
    beginning.count > 2 && beginning[0] == 0x80 && (2...5).contains(beginning[1]) && beginning[2] == 0x8a
  }

  /// - Throws: `TorchPickleError` naming the first fault.
  public init(path: String, beginning: [UInt8]) throws(TorchPickleError) {
    if Self.isLegacy(beginning) { throw TorchPickleError(.legacyFormat, path: path) }
    let archive = try ZipArchive(path: path)
    guard let program = archive.names.first(where: { $0.hasSuffix("/data.pkl") || $0 == "data.pkl" }) else {
      throw TorchPickleError(.missingEntry("data.pkl"), path: path)
    }
    let root = String(program.dropLast("data.pkl".count))
    if archive.names.contains(root + "byteorder") {
      let order = try archive.contents(of: root + "byteorder", limit: 16).withUnsafeBytes {
        String(decoding: $0, as: UTF8.self)
      }
      guard order == "little" else {
        throw TorchPickleError(.entry(name: "byteorder", reason: "expected little, found \(order)"), path: path)
      }
    }
    let bytes = try archive.contents(of: program, limit: Self.pickleLimit)
    let heap = PickleHeap()
    defer { heap.clear() }
    let outcome = bytes.withUnsafeBytes { text in
      Result { () throws(TorchPickleError) in try PickleMachine.run(text, path: path, heap: heap) }
    }
    var builder = TensorBuilder(archive: archive, root: root, path: path)
    (contents, ignored) = try Self.contents(of: try outcome.get(), with: &builder)
  }

  private static func contents(
    of value: PickleValue, isUnwrapped: Bool = false, with builder: inout TensorBuilder
  ) throws(TorchPickleError) -> (Contents, [String]) {
    switch value {
    case .list(let items):
      var tensors: [Tensor] = []
      for item in items.value {
        guard case .tensor(let view) = item else { throw TorchPickleError(.noTensors, path: builder.path) }
        tensors.append(try builder.tensor(view))
      }
      return (.list(tensors), [])
    case .dictionary(let items):
      // Once only: a dictionary may contain itself.
      for wrapper in isUnwrapped ? [] : ["state_dict", "model", "module", "params", "params_ema", "ema"] {
        for case (.string(wrapper), .dictionary(let inner)) in items.value
        where inner.value.contains(where: { $0.value.isTensor }) {
          return try contents(of: .dictionary(inner), isUnwrapped: true, with: &builder)
        }
      }
      var tensors: [(String, Tensor)] = [], ignored: [String] = []
      for case (.string(let name), let item) in items.value {
        if case .tensor(let view) = item {
          tensors.append((name, try builder.tensor(view)))
        } else {
          ignored.append(name)
        }
      }
      guard !tensors.isEmpty else { throw TorchPickleError(.noTensors, path: builder.path) }
      return (.dictionary(tensors), ignored)
    default: throw TorchPickleError(.noTensors, path: builder.path)
    }
  }

  /// Turns views on storages into tensors of their own.
  private struct TensorBuilder {
    let archive: ZipArchive
    let root: String
    let path: String
    var storages: [String: Bytes] = [:]

    init(archive: ZipArchive, root: String, path: String) {
      (self.archive, self.root, self.path) = (archive, root, path)
    }

    mutating func tensor(_ view: PickleValue.StoredView) throws(TorchPickleError) -> Tensor {
      func fault(_ reason: String) -> TorchPickleError {
        TorchPickleError(.entry(name: view.storage.key, reason: reason), path: path)
      }
      guard let dtype = Self.dtypes[view.storage.type] else {
        throw fault("expected a known storage type, found \(view.storage.type)")
      }
      let size = dtype.bits / 8
      let storage = try bytes(of: view.storage)
      guard storage.count / size >= view.storage.count else {
        throw fault("expected \(view.storage.count) elements, found \(storage.count / size)")
      }
      guard let count = Shape.elementCount(of: view.extents), view.extents.count == view.strides.count else {
        throw fault("expected one stride for each extent")
      }
      let shape = Shape(view.extents)
      guard count > 0 else { return Tensor(dtype: dtype, shape: shape, bytes: storage[0..<0]) }
      var last = view.offset
      for (extent, stride) in zip(view.extents, view.strides) {
        let (reach, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
        guard stride >= 0, !overflow, last >= 0, reach < .max - last else {
          throw fault("expected strides inside the storage")
        }
        last += reach
      }
      guard view.offset >= 0, last < view.storage.count else { throw fault("expected a view inside the storage") }
      var contiguous: [Int] = [], product = 1
      for extent in view.extents.reversed() {
        contiguous.insert(product, at: 0)
        product *= extent
      }
      if zip(zip(view.extents, view.strides), contiguous).allSatisfy({ $0.0 == 1 || $0.1 == $1 }) {
        return Tensor(dtype: dtype, shape: shape, bytes: storage[view.offset * size..<(view.offset + count) * size])
      }
      // Strides of zero repeat elements, so that a few bytes could be made to fill any memory.
      let limit = max(view.storage.count, TorchPickle.repetitionLimit)
      guard count <= limit else { throw fault("expected a view of at most \(limit) elements, found \(count)") }
      return Tensor(dtype: dtype, shape: shape, bytes: gather(view, from: storage, count: count, elementSize: size))
    }

    private func gather(_ view: PickleValue.StoredView, from storage: Bytes, count: Int, elementSize size: Int) -> Bytes
    {
      Bytes(count: count * size) { target in
        storage.withUnsafeBytes { source in
          var index = [Int](repeating: 0, count: view.extents.count)
          for place in 0..<count {
            let element = view.offset + zip(index, view.strides).reduce(0) { $0 + $1.0 * $1.1 }
            (target.baseAddress! + place * size).copyMemory(from: source.baseAddress! + element * size, byteCount: size)
            for axis in index.indices.reversed() {
              index[axis] += 1
              if index[axis] < view.extents[axis] { break }
              index[axis] = 0
            }
          }
        }
      }
    }

    private mutating func bytes(of storage: PickleValue.Storage) throws(TorchPickleError) -> Bytes {
      if let known = storages[storage.key] { return known }
      let bytes = try archive.contents(of: root + "data/" + storage.key, limit: TorchPickle.storageLimit)
      storages[storage.key] = bytes
      return bytes
    }

    private static let dtypes: [String: DType] = [
      "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "DoubleStorage": .f64, "IntStorage": .i32,
      "LongStorage": .i64, "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
    ]
  }
}

extension PickleValue {
  fileprivate var isTensor: Bool { if case .tensor = self { true } else { false } }
}
