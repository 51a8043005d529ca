public import Tensors

/// Four bits that choose from a table, whose values times a step are rounded to whole numbers of eight bits, which have a
/// step for each row (ComfyUI's `asym_w4a8_int8`).
public struct CodebookCodec: WeightCodec {
  public let name: String
  public let rows: Int
  public let columns: Int
  private let bytes: Bytes
  private let table: [Float]
  private let steps: StepNumbers
  private let length: Int
  private let rowSteps: StepNumbers

  /// - Parameters:
  ///   - bytes: of even columns in the low nibbles.
  ///   - table: of 16.
  ///   - steps: one for each `length` columns of a row.
  ///   - rowSteps: one for each row.
  /// - Throws: `CodecError` for parts of another size.
  public init(
    _ name: String, rows: Int, columns: Int, bytes: Bytes, table: [Float], steps: StepNumbers, length: Int,
    rowSteps: StepNumbers
  ) throws(CodecError) {
    guard table.count == 16 else {
      throw CodecError("weight_codebook", expected: "16 numbers", found: "\(table.count)")
    }
    guard columns % length == 0, steps.count == rows * (columns / length) else {
      throw CodecError(steps.part, expected: "a number for every \(length) inputs", found: "\(steps.count)")
    }
    guard rowSteps.count == rows else {
      throw CodecError(rowSteps.part, expected: "\(rows) numbers", found: "\(rowSteps.count)")
    }
    guard bytes.count * 2 >= rows * columns else {
      throw CodecError("weight", expected: "\(rows * columns / 2) bytes of codes", found: "\(bytes.count)")
    }
    (self.name, self.rows, self.columns, self.bytes, self.table) = (name, rows, columns, bytes, table)
    (self.steps, self.length, self.rowSteps) = (steps, length, rowSteps)
  }

  public var bitsPerWeight: Double {
    Double(8 * (bytes.count + steps.byteCount + rowSteps.byteCount)) / Double(max(count, 1))
  }

  public func requireSteps() throws(CodecError) {
    if let bad = rowSteps.all().first(where: { !$0.isFinite }) {
      throw CodecError(rowSteps.part, expected: "finite numbers", found: "\(bad)")
    }
  }

  public func decode(rows range: Range<Int>, into numbers: UnsafeMutableBufferPointer<Float>) {
    precondition(numbers.count == range.count * columns, "room for the rows")
    let perRow = columns / length
    var own = [Float](repeating: 0, count: perRow), whole = [Float](repeating: 0, count: 1)
    bytes.withUnsafeBytes { codes in
      for row in range {
        own.withUnsafeMutableBufferPointer { steps.copy(row * perRow..<(row + 1) * perRow, to: $0) }
        whole.withUnsafeMutableBufferPointer { rowSteps.copy(row..<row + 1, to: $0) }
        let start = (row - range.lowerBound) * columns
        for j in 0..<columns {
          let code = codes[(row * columns + j) / 2] >> (j % 2 == 0 ? 0 : 4) & 15
          let value = (table[Int(code)] * own[j / length]).rounded(.toNearestOrEven)
          // NaN compares false, and stays.
          numbers[start + j] = (value > 127 ? 127 : value < -127 ? -127 : value) * whole[0]
        }
      }
    }
  }
}
