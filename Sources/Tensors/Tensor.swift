import CArithmetic

/// A named array's contents: a number format, a shape, and bytes in little-endian C order without padding.
///
/// The bytes usually point into a mapped file; nothing is converted until it is asked for.
public struct Tensor: Sendable {
  /// The number format of the elements in `bytes`.
  public let dtype: DType
  /// Outermost extent first; none for a scalar.
  public let shape: Shape
  /// The elements as they are stored, often in a mapped file.
  public let bytes: Bytes

  /// - Precondition: `bytes` has exactly the size that `dtype` and `shape` need.
  public init(dtype: DType, shape: Shape, bytes: Bytes) {
    precondition(bytes.count * 8 >= shape.elementCount * dtype.bits, "a tensor needs all its bytes")
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
  }

  /// A tensor of `values` rounded once to `dtype` (nearest, ties to even).
  ///
  /// - Precondition: `values.count == shape.elementCount`, and `dtype` is F64, F32, F16, BF16, F8_E4M3, F8_E5M2,
  ///   I8…I64, U8 or BOOL.
  public init(_ values: [Double], shape: Shape, dtype: DType) {
    precondition(values.count == shape.elementCount, "\(values.count) values for the shape \(shape)")
    self.init(
      dtype: dtype, shape: shape,
      bytes: Bytes(count: values.count * dtype.bits / 8) { target in
        values.withUnsafeBufferPointer { dtype.encode($0, into: target) }
      })
  }

  /// How many numbers there are.
  public var elementCount: Int { shape.elementCount }

  /// All elements in C order, widened exactly (64-bit integers are rounded to the nearest double).
  ///
  /// - Precondition: `dtype.isReadable`.
  public func doubles() -> [Double] {
    [Double](unsafeUninitializedCapacity: elementCount) { buffer, count in
      copyDoubles(to: UnsafeMutableBufferPointer(rebasing: buffer[..<elementCount]))
      count = elementCount
    }
  }

  /// All elements in C order as single precision; exact except for F64 and integers beyond 2²⁴.
  ///
  /// - Precondition: `dtype.isReadable`.
  public func floats() -> [Float] {
    [Float](unsafeUninitializedCapacity: elementCount) { buffer, count in
      copyFloats(to: UnsafeMutableBufferPointer(rebasing: buffer[..<elementCount]))
      count = elementCount
    }
  }

  /// Writes all elements in C order to `target`, which must have room for exactly `elementCount`, as single precision.
  ///
  /// - Precondition: `dtype.isReadable`.
  public func copyFloats(to target: UnsafeMutableBufferPointer<Float>) {
    precondition(target.count == elementCount, "room for \(target.count) of \(elementCount) elements")
    guard elementCount > 0, let target = target.baseAddress else { return }
    bytes.withUnsafeBytes { source in
      let base = source.baseAddress!
      switch dtype {
      case .f16: lathe_f16_to_f32(base, target, elementCount)
      case .bf16: lathe_bf16_to_f32(base, target, elementCount)
      case .f32: UnsafeMutableRawPointer(target).copyMemory(from: base, byteCount: 4 * elementCount)
      default: for (i, value) in doubles().enumerated() { (target + i).initialize(to: Float(value)) }
      }
    }
  }

  /// Writes all elements in C order to `target`, which must have room for exactly `elementCount`.
  public func copyDoubles(to target: UnsafeMutableBufferPointer<Double>) {
    precondition(target.count == elementCount, "room for \(target.count) of \(elementCount) elements")
    guard elementCount > 0 else { return }
    bytes.withUnsafeBytes { dtype.decode($0, into: target) }
  }

  /// The only element of a one-element tensor (of any rank), or `nil`.
  public var scalar: Double? {
    guard elementCount == 1, dtype.isReadable else { return nil }
    var value = 0.0
    bytes.smallCopy().withUnsafeBytes { stored in
      withUnsafeMutablePointer(to: &value) {
        dtype.decode(stored, into: UnsafeMutableBufferPointer(start: $0, count: 1))
      }
    }
    return value
  }
}
