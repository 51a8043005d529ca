import CArithmetic
public import Tensors

/// The numbers of a tensor of steps, read in ranges; nothing is read before.
public struct StepNumbers: Sendable {
  /// The tensor by its name in the module, for messages.
  public let part: String
  /// How many there are.
  public let count: Int
  /// What they take on the disk.
  public let byteCount: Int
  private let read: @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) -> Void

  /// - Parameters:
  ///   - dtype: how bytes are read that are declared as such (`U8`); `nil` for the tensor's own format.
  ///   - change: what becomes of each number, such as a product with a common factor.
  /// - Throws: `CodecError` for a format that is no number.
  public init(
    _ tensor: Tensor, part: String, as dtype: DType? = nil, change: (@Sendable (Float) -> Float)? = nil
  ) throws(CodecError) {
    let format = tensor.dtype == .u8 ? dtype ?? .u8 : tensor.dtype
    guard format == .f8e8m0 || format.unitRoundoff != nil else {
      throw CodecError(part, expected: "floating-point numbers", found: tensor.dtype.rawValue)
    }
    let bytes = tensor.bytes, width = format.bits / 8
    let table = Self.table(format)
    self.init(part: part, count: tensor.elementCount, byteCount: bytes.count) { range, target in
      bytes[range.lowerBound * width..<range.upperBound * width].withUnsafeBytes { source in
        guard let base = source.baseAddress, let out = target.baseAddress else { return }
        if let table {
          lathe_decode_bytes(base.assumingMemoryBound(to: UInt8.self), table, 1, out, range.count)
        } else {
          Tensor(dtype: format, shape: [range.count], bytes: bytes[range.lowerBound * width..<range.upperBound * width])
            .copyFloats(to: target)
        }
      }
      if let change { for i in target.indices { target[i] = change(target[i]) } }
    }
  }

  /// Steps that come from somewhere else.
  init(
    part: String, count: Int, byteCount: Int,
    read: @escaping @Sendable (Range<Int>, UnsafeMutableBufferPointer<Float>) -> Void
  ) {
    (self.part, self.count, self.byteCount, self.read) = (part, count, byteCount, read)
  }

  /// One step of 1, which nothing is stored of.
  static let one = StepNumbers(part: "", count: 1, byteCount: 0) { $1.update(repeating: 1) }

  /// Writes the numbers of a range to `target`, which has as much room.
  func copy(_ range: Range<Int>, to target: UnsafeMutableBufferPointer<Float>) { read(range, target) }

  /// All of them.
  public func all() -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { target, filled in
      read(0..<count, UnsafeMutableBufferPointer(rebasing: target[..<count]))
      filled = count
    }
  }

  // MARK: Other orders

  /// Steps in the tiles that NVIDIA's matrix products want ("32 × 4 × 4"), in the order of rows.
  ///
  /// - Parameters:
  ///   - rows: of the logical scales.
  ///   - columns: of the logical scales: blocks of a row.
  /// Source: cuBLAS documentation, "1D Block Scaling Factors Layout".
  public static func tiled(_ stored: StepNumbers, rows: Int, columns: Int) -> StepNumbers {
    let tilesAcross = (columns + 3) / 4
    return StepNumbers(part: stored.part, count: rows * columns, byteCount: stored.byteCount) { range, target in
      // Four scales beside each other stay so: each step is one of them.
      var four = (place: -1, values: [Float](repeating: 0, count: 4))
      for (i, index) in range.enumerated() {
        let (r, c) = index.quotientAndRemainder(dividingBy: columns)
        let place = ((r / 128) * tilesAcross + c / 4) * 512 + (r % 32) * 16 + (r % 128 / 32) * 4
        if place != four.place {
          four.values.withUnsafeMutableBufferPointer { stored.copy(place..<place + 4, to: $0) }
          four.place = place
        }
        target[i] = four.values[c % 4]
      }
    }
  }

  /// Steps that are stored column by column, in the order of rows.
  public static func transposed(_ stored: StepNumbers, rows: Int, columns: Int) -> StepNumbers {
    StepNumbers(part: stored.part, count: rows * columns, byteCount: stored.byteCount) { range, target in
      for (i, index) in range.enumerated() {
        let (r, c) = index.quotientAndRemainder(dividingBy: columns), place = c * rows + r
        stored.copy(place..<place + 1, to: UnsafeMutableBufferPointer(rebasing: target[i..<i + 1]))
      }
    }
  }

  /// Steps that are codes themselves, with a table and steps of their own: table[code] · step + offset.
  ///
  /// - Parameter length: codes for each of `steps`.
  public static func nested(
    codes: Tensor, part: String, table: [Float], steps: StepNumbers, length: Int, offset: Float
  ) -> StepNumbers {
    let size = codes.bytes.count + steps.byteCount
    return StepNumbers(part: part, count: codes.elementCount, byteCount: size) { range, target in
      let first = range.lowerBound / length, last = max(range.upperBound - 1, range.lowerBound) / length
      var own = [Float](repeating: 0, count: last - first + 1)
      own.withUnsafeMutableBufferPointer { steps.copy(first..<last + 1, to: $0) }
      codes.bytes.withUnsafeBytes { codes in
        for (i, index) in range.enumerated() {
          let product = table[Int(codes[index])] * own[index / length - first]
          target[i] = product + offset
        }
      }
    }
  }

  // MARK: Tables

  private static func table(_ dtype: DType) -> [Float]? {
    switch dtype {
    case .f8e4m3: CodeTable.e4m3
    case .f8e5m2: CodeTable.e5m2
    case .f8e8m0: CodeTable.e8m0
    default: nil
    }
  }
}
