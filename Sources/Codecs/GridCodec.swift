import CArithmetic
public import Tensors

/// Codes of one byte or of half a byte, with steps for tensors, rows or blocks.
public struct GridCodec: WeightCodec {
  /// How codes lie in their bytes, and what they stand for.
  public enum Codes: Sendable {
    /// One a byte, by a table of 256.
    case bytes([Float])
    /// Two's complement, one a byte.
    case integers
    /// Two a byte, by a table of 16. `evenIsHigh` says whether even columns stand in the high nibbles.
    case nibbles([Float], evenIsHigh: Bool)
  }

  /// Which step a code has.
  public enum Arrangement: Sendable, Equatable {
    /// One for each block of `height` × `width` codes, blocks in the order of rows, `perRow` beside each other.
    case blocks(height: Int, width: Int, perRow: Int)
    /// One for each `length` codes of the flattened weight, across the ends of rows.
    case flat(length: Int)
  }

  public let name: String
  public let rows: Int
  public let columns: Int
  /// What is multiplied in after the step, where that is another rounding.
  let lastFactor: Float?
  /// What each column is multiplied by in the end.
  let columnFactors: [Float]?
  let codes: Codes
  let bytes: Bytes
  /// Codes that are read, and never written anew.
  let unused: Set<UInt8>
  /// Codes from one row to the next; more than columns where rows are padded.
  let stride: Int
  private let arrangement: Arrangement
  private let steps: StepNumbers
  private let offsets: StepNumbers?

  /// - Parameters:
  ///   - unused: codes that the format's encoder never writes.
  ///   - stride: codes from one row to the next.
  ///   - offsets: as many as `steps`, subtracted.
  ///   - columnFactors: one for each column.
  /// - Throws: `CodecError` for codes or steps that are too few.
  public init(
    _ name: String, rows: Int, columns: Int, codes: Codes, unused: Set<UInt8> = [], bytes: Bytes, stride: Int? = nil,
    arrangement: Arrangement, steps: StepNumbers, offsets: StepNumbers? = nil, lastFactor: Float? = nil,
    columnFactors: [Float]? = nil
  ) throws(CodecError) {
    (self.name, self.unused) = (name, unused)
    (self.rows, self.columns, self.codes, self.bytes) = (rows, columns, codes, bytes)
    (self.arrangement, self.steps, self.offsets) = (arrangement, steps, offsets)
    (self.lastFactor, self.columnFactors, self.stride) = (lastFactor, columnFactors, stride ?? columns)
    let needed = Self.stepCount(arrangement, rows: rows, columns: columns)
    for part in [steps, offsets].compactMap(\.self) where part.count < needed {
      throw CodecError(part.part, expected: "\(needed) numbers", found: "\(part.count)")
    }
    let last = rows == 0 || columns == 0 ? 0 : (rows - 1) * self.stride + columns
    let size = if case .nibbles = codes { (last + 1) / 2 } else { last }
    guard bytes.count >= size else {
      throw CodecError("weight", expected: "\(size) bytes of codes", found: "\(bytes.count)")
    }
    if let columnFactors, columnFactors.count != columns {
      throw CodecError("pre_quant_scale", expected: "\(columns) numbers", found: "\(columnFactors.count)")
    }
  }

  private static func stepCount(_ arrangement: Arrangement, rows: Int, columns: Int) -> Int {
    guard rows > 0, columns > 0 else { return 0 }
    switch arrangement {
    case .blocks(let height, _, let perRow): return ((rows - 1) / height + 1) * perRow
    case .flat(let length): return (rows * columns - 1) / length + 1
    }
  }

  public var bitsPerWeight: Double {
    Double(8 * (bytes.count + steps.byteCount + (offsets?.byteCount ?? 0))) / Double(max(count, 1))
  }

  /// Only tables of steps that are small beside the codes are looked at whole.
  public func requireSteps() throws(CodecError) {
    for part in [steps, offsets].compactMap(\.self) where part.count * 64 <= max(count, 64) {
      if let bad = part.all().first(where: { !$0.isFinite }) {
        throw CodecError(part.part, expected: "finite numbers", found: "\(bad)")
      }
    }
    if let bad = columnFactors?.first(where: { !$0.isFinite }) {
      throw CodecError("pre_quant_scale", expected: "finite numbers", found: "\(bad)")
    }
  }

  public func decode(rows range: Range<Int>, into numbers: UnsafeMutableBufferPointer<Float>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the weight")
    precondition(numbers.count == range.count * columns, "room for the rows")
    guard let target = numbers.baseAddress, columns > 0 else { return }
    // The numbers are what is used from now on.
    defer { forget(range) }
    var line = StepLine(self)
    bytes.withUnsafeBytes { source in
      guard let source = source.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      for row in range {
        let out = target + (row - range.lowerBound) * columns
        line.load(row)
        line.forEachRun { first, count, step, offset in
          decode(source, row * stride + first, step: step, offset: offset, into: out + first, count: count)
        }
        if let lastFactor { for j in 0..<columns { out[j] *= lastFactor } }
        if let columnFactors { for j in 0..<columns { out[j] *= columnFactors[j] } }
      }
    }
  }

  private func forget(_ range: Range<Int>) {
    let (first, last) = (range.lowerBound * stride, min(range.upperBound * stride, bytes.count * codesPerByte))
    bytes[first / codesPerByte..<last / codesPerByte].forget()
  }

  private var codesPerByte: Int { if case .nibbles = codes { 2 } else { 1 } }

  private func decode(
    _ source: UnsafePointer<UInt8>, _ place: Int, step: Float, offset: Float?, into out: UnsafeMutablePointer<Float>,
    count: Int
  ) {
    switch codes {
    case .bytes(let table): lathe_decode_bytes(source + place, table, step, out, count)
    case .integers:
      (source + place).withMemoryRebound(to: Int8.self, capacity: count) { lathe_decode_integers($0, step, out, count) }
    case .nibbles(let table, let evenIsHigh):
      lathe_decode_nibbles(source + place / 2, place % 2, evenIsHigh ? 1 : 0, table, step, offset ?? 0, out, count)
      return
    }
    if let offset { for j in 0..<count { out[j] -= offset } }
  }

  /// The steps of one row at a time.
  struct StepLine {
    private let codec: GridCodec
    private var steps: [Float] = [], offsets: [Float] = []
    private var loaded = 0..<0
    private var row = 0

    init(_ codec: GridCodec) { self.codec = codec }

    mutating func load(_ row: Int) {
      self.row = row
      let range =
        switch codec.arrangement {
        case .blocks(let height, _, let perRow): row / height * perRow..<(row / height + 1) * perRow
        case .flat(let length): row * codec.columns / length..<((row + 1) * codec.columns - 1) / length + 1
        }
      guard range != loaded else { return }
      loaded = range
      steps = Self.numbers(codec.steps, range)
      if let stored = codec.offsets { offsets = Self.numbers(stored, range) }
    }

    private static func numbers(_ stored: StepNumbers, _ range: Range<Int>) -> [Float] {
      [Float](unsafeUninitializedCapacity: range.count) { target, count in
        stored.copy(range, to: UnsafeMutableBufferPointer(rebasing: target[..<range.count]))
        count = range.count
      }
    }

    /// Calls `body` with each run of codes of one step: its first column, its length, step and offset.
    func forEachRun(_ body: (Int, Int, Float, Float?) -> Void) {
      let columns = codec.columns
      var start = 0
      for index in loaded.indices {
        let end: Int
        switch codec.arrangement {
        case .blocks(_, let width, _): end = min(start + width, columns)
        case .flat(let length): end = min((index + 1) * length - row * columns, columns)
        }
        let place = index - loaded.lowerBound
        if end > start { body(start, end - start, steps[place], offsets.isEmpty ? nil : offsets[place]) }
        start = end
      }
    }
  }
}
