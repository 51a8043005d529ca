import CArithmetic

extension BlockFormat {
  /// Whether blocks of it can be made of numbers; NVFP4 has no quantiser of ggml's own.
  public var isEncodable: Bool { self != .nvfp4 }

  /// The blocks that ggml's own quantiser makes of finite numbers without data of importance, bit for bit.
  ///
  /// - Precondition: the format is encodable, `numbers` are whole blocks, and `blocks` has room for them.
  public func encode(_ numbers: UnsafeBufferPointer<Float>, into blocks: UnsafeMutableRawBufferPointer) {
    let count = numbers.count / elements
    precondition(numbers.count % elements == 0 && blocks.count == count * bytes, "room for whole blocks")
    guard count > 0, let source = numbers.baseAddress, let base = blocks.baseAddress else { return }
    let target = base.assumingMemoryBound(to: UInt8.self)
    if self == .q8_0 { return lathe_f32_to_q8_0(source, target, count) }
    let layout = BlockLayout.layout(of: self)
    // A few blocks at a time, whose codes then go to their places.
    let step = max(1, 4096 / elements)
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: step * elements) { codes in
      for start in stride(from: 0, to: count, by: step) {
        let part = min(step, count - start), place = target + start * bytes
        place.update(repeating: 0, count: part * bytes)
        encode(source + start * elements, place, codes.baseAddress!, part)
        layout.parts.withUnsafeBufferPointer {
          lathe_write_codes(place, bytes, part, $0.baseAddress!, layout.partCount, elements, codes.baseAddress!)
        }
      }
    }
  }

  private func encode(
    _ numbers: UnsafePointer<Float>, _ blocks: UnsafeMutablePointer<UInt8>, _ codes: UnsafeMutablePointer<UInt8>,
    _ count: Int
  ) {
    switch self {
    case .q4_0: lathe_encode_signed(numbers, 16, bytes, blocks, codes, count)
    case .q5_0: lathe_encode_signed(numbers, 32, bytes, blocks, codes, count)
    case .q4_1: lathe_encode_affine(numbers, 16, bytes, blocks, codes, count)
    case .q5_1: lathe_encode_affine(numbers, 32, bytes, blocks, codes, count)
    case .q2_k: lathe_encode_q2_k(numbers, blocks, codes, count)
    case .q3_k: lathe_encode_q3_k(numbers, blocks, codes, count)
    case .q4_k: lathe_encode_q4_k(numbers, blocks, codes, count)
    case .q5_k: lathe_encode_q5_k(numbers, blocks, codes, count)
    case .q6_k: lathe_encode_q6_k(numbers, blocks, codes, count)
    case .iq4_nl: lathe_encode_iq4_nl(numbers, blocks, codes, count)
    case .iq4_xs: lathe_encode_iq4_xs(numbers, blocks, codes, count)
    case .mxfp4: lathe_encode_mxfp4(numbers, blocks, codes, count)
    case .q8_0, .nvfp4: preconditionFailure("\(name) has another encoder, or none")
    }
  }
}
