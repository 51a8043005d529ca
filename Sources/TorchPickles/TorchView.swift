public import Tensors

/// A tensor of a torch file as it is stored: a window on a storage, perhaps with gaps between its elements or in another
/// order.
public struct TorchView: Sendable {
  /// The number format of the stored elements.
  public let dtype: DType
  /// As the pickle has it, whatever the order of the elements in the storage.
  public let shape: Shape
  /// The bytes from its first element to its last, counted from the beginning of the file; `nil` where the file is
  /// compressed.
  public let place: Range<Int>?
  /// From the first element to the last.
  private let bytes: Bytes
  /// In elements.
  private let strides: [Int]

  /// The most elements of a view that is larger than its storage.
  private static let repetitionLimit = 1 << 20

  /// - Parameters:
  ///   - name: of the storage, for messages.
  ///   - count: the storage's elements.
  init(
    _ view: PickleValue.StoredView, _ dtype: DType, of storage: TorchStorage, count: Int, path: String
  ) throws(TorchPickleError) {
    func fault(_ reason: String) -> TorchPickleError {
      TorchPickleError(.entry(name: view.storage.key, reason: reason), path: path)
    }
    let size = dtype.bits / 8
    guard storage.bytes.count / size >= count else {
      throw fault("expected \(count) elements, found \(storage.bytes.count / size)")
    }
    guard let elements = Shape.elementCount(of: view.extents), view.extents.count == view.strides.count else {
      throw fault("expected one stride for each extent")
    }
    self.dtype = dtype
    shape = Shape(view.extents)
    strides = view.strides
    guard elements > 0 else {
      bytes = storage.bytes[0..<0]
      place = storage.place.map { $0..<$0 }
      return
    }
    var last = view.offset
    for (extent, stride) in zip(view.extents, view.strides) {
      let (reach, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
      guard stride >= 0, !overflow, last >= 0, reach < .max - last else {
        throw fault("expected strides inside the storage")
      }
      last += reach
    }
    guard view.offset >= 0, last < count else { throw fault("expected a view inside the storage") }
    // Strides of zero repeat elements, so that a few bytes could be made to fill any memory.
    let limit = max(count, Self.repetitionLimit)
    guard elements <= limit else { throw fault("expected a view of at most \(limit) elements, found \(elements)") }
    let range = view.offset * size..<(last + 1) * size
    bytes = storage.bytes[range]
    place = storage.place.map { $0 + range.lowerBound..<$0 + range.upperBound }
  }

  /// Whether the elements stand in C order without gaps.
  public var isContiguous: Bool {
    var product = 1
    for (extent, stride) in zip(shape.extents, strides).reversed() where extent != 1 {
      guard stride == product else { return false }
      product *= extent
    }
    return true
  }

  /// The elements in C order: the stored bytes themselves where they stand so, else a copy made now.
  public var tensor: Tensor {
    guard shape.elementCount > 0, !isContiguous else { return Tensor(dtype: dtype, shape: shape, bytes: bytes) }
    let size = dtype.bits / 8
    // The copy is what is used from now on.
    defer { bytes.forget() }
    return Tensor(
      dtype: dtype, shape: shape,
      bytes: Bytes(count: shape.elementCount * size) { target in
        bytes.withUnsafeBytes { source in
          switch size {
          case 1: gather(source, UInt8.self, into: target)
          case 2: gather(source, UInt16.self, into: target)
          case 4: gather(source, UInt32.self, into: target)
          default: gather(source, UInt64.self, into: target)
          }
        }
      })
  }

  /// The same, with a copy that is made anew each time it is asked for: a file of few bytes may have any number of views that
  /// need one.
  public var lazyTensor: Tensor {
    guard shape.elementCount > 0, !isContiguous else { return tensor }
    let count = shape.elementCount * (dtype.bits / 8)
    return Tensor(dtype: dtype, shape: shape, bytes: Bytes(count: count) { tensor.bytes })
  }

  private func gather<Element: FixedWidthInteger>(
    _ source: UnsafeRawBufferPointer, _ type: Element.Type, into target: UnsafeMutableRawBufferPointer
  ) {
    let size = MemoryLayout<Element>.size, width = shape.extents.last!, stride = strides.last! * size
    var index = [Int](repeating: 0, count: shape.rank - 1), row = 0
    for start in Swift.stride(from: 0, to: shape.elementCount, by: width) {
      for column in 0..<width {
        target.storeBytes(
          of: source.loadUnaligned(fromByteOffset: row + column * stride, as: type),
          toByteOffset: (start + column) * size, as: type)
      }
      for axis in index.indices.reversed() {
        index[axis] += 1
        row += strides[axis] * size
        if index[axis] < shape.extents[axis] { break }
        row -= index[axis] * strides[axis] * size
        index[axis] = 0
      }
    }
  }
}
