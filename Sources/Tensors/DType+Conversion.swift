import CArithmetic

extension DType {
  /// Widens stored elements to doubles.
  ///
  /// - Precondition: `isReadable`, and `source` has `target.count` elements, of which there is at least one.
  public func decode(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableBufferPointer<Double>) {
    let base = source.baseAddress!, count = target.count, out = target.baseAddress!
    switch self {
    case .f64: UnsafeMutableRawPointer(out).copyMemory(from: base, byteCount: 8 * count)
    case .f32: lathe_f32_to_f64(base, out, count)
    case .f16: lathe_f16_to_f64(base, out, count)
    case .bf16: lathe_bf16_to_f64(base, out, count)
    case .f8e4m3: decode(source, by: Self.e4m3Values, into: target)
    case .f8e5m2: decode(source, by: Self.e5m2Values, into: target)
    case .i8: decode(source, as: Int8.self, into: target)
    case .i16: decode(source, as: Int16.self, into: target)
    case .i32: decode(source, as: Int32.self, into: target)
    case .i64: decode(source, as: Int64.self, into: target)
    case .u8, .bool: decode(source, as: UInt8.self, into: target)
    case .u16: decode(source, as: UInt16.self, into: target)
    case .u32: decode(source, as: UInt32.self, into: target)
    case .u64: decode(source, as: UInt64.self, into: target)
    case .f4, .f6e2m3, .f6e3m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .c64:
      preconditionFailure("\(rawValue) elements cannot be read as real numbers")
    }
  }

  /// Rounds doubles to stored elements: nearest, ties to even; integers saturate and NaN becomes zero there.
  public func encode(_ source: UnsafeBufferPointer<Double>, into target: UnsafeMutableRawBufferPointer) {
    precondition(target.count == source.count * bits / 8, "room for \(target.count) bytes")
    guard let base = source.baseAddress, let out = target.baseAddress, !source.isEmpty else { return }
    switch self {
    case .f64: out.copyMemory(from: base, byteCount: 8 * source.count)
    case .f32: lathe_f64_to_f32(base, out, source.count)
    case .f16: lathe_f64_to_f16(base, out, source.count)
    case .bf16: lathe_f64_to_bf16(base, out, source.count)
    case .f8e4m3: for i in source.indices { target[i] = MiniFloat.e4m3.encode(source[i]) }
    case .f8e5m2: for i in source.indices { target[i] = MiniFloat.e5m2.encode(source[i]) }
    case .i8: encode(source, as: Int8.self, into: target)
    case .i16: encode(source, as: Int16.self, into: target)
    case .i32: encode(source, as: Int32.self, into: target)
    case .i64: encode(source, as: Int64.self, into: target)
    case .u8: encode(source, as: UInt8.self, into: target)
    case .bool: for i in source.indices { target[i] = source[i] == 0 ? 0 : 1 }
    case .u16, .u32, .u64, .f4, .f6e2m3, .f6e3m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .c64:
      preconditionFailure("\(rawValue) elements cannot be written")
    }
  }

  private static let e4m3Values = MiniFloat.e4m3.decodingTable()
  private static let e5m2Values = MiniFloat.e5m2.decodingTable()

  private func decode(
    _ source: UnsafeRawBufferPointer, by table: [Float], into target: UnsafeMutableBufferPointer<Double>
  ) {
    for i in target.indices { target[i] = Double(table[Int(source[i])]) }
  }

  private func decode<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ source: UnsafeRawBufferPointer, as type: Integer.Type, into target: UnsafeMutableBufferPointer<Double>
  ) {
    for i in target.indices {
      let stored = source.loadUnaligned(fromByteOffset: i * MemoryLayout<Integer>.size, as: type)
      target[i] = Double(Integer(littleEndian: stored))
    }
  }

  private func encode<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ source: UnsafeBufferPointer<Double>, as type: Integer.Type, into target: UnsafeMutableRawBufferPointer
  ) {
    for i in source.indices {
      let rounded = source[i].rounded(.toNearestOrEven)
      let value: Integer =
        if rounded.isNaN { 0 } else if rounded >= Double(Integer.max) { .max } else if rounded <= Double(Integer.min) {
          .min
        } else { Integer(rounded) }
      target.storeBytes(of: value.littleEndian, toByteOffset: i * MemoryLayout<Integer>.size, as: type)
    }
  }
}
