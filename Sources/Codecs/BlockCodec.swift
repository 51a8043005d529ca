public import Tensors

/// A weight in blocks of ggml, which may cross the ends of its rows.
public struct BlockCodec: WeightCodec {
  /// The kind of blocks.
  public let format: BlockFormat
  public let rows: Int
  public let columns: Int
  let bytes: Bytes

  /// - Precondition: the weight's numbers are whole blocks, and `bytes` has all of them.
  public init(_ format: BlockFormat, rows: Int, columns: Int, bytes: Bytes) {
    precondition(rows * columns % format.elements == 0, "whole blocks")
    precondition(bytes.count == rows * columns / format.elements * format.bytes, "all blocks")
    (self.format, self.rows, self.columns, self.bytes) = (format, rows, columns, bytes)
  }

  public var name: String { format.name }
  public var bitsPerWeight: Double { Double(8 * format.bytes) / Double(format.elements) }

  public func decode(rows range: Range<Int>, into numbers: UnsafeMutableBufferPointer<Float>) {
    precondition(numbers.count == range.count * columns, "room for the rows")
    let elements = format.elements
    let start = range.lowerBound * columns, end = range.upperBound * columns
    let blocks = start / elements..<(end + elements - 1) / elements
    let part = bytes[blocks.lowerBound * format.bytes..<blocks.upperBound * format.bytes]
    // The numbers are what is used from now on.
    defer { part.forget() }
    guard start % elements != 0 || end % elements != 0 else {
      part.withUnsafeBytes { format.decode($0, into: numbers) }
      return
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: blocks.count * elements) { whole in
      part.withUnsafeBytes { format.decode($0, into: whole) }
      let first = start - blocks.lowerBound * elements
      _ = numbers.update(fromContentsOf: whole[first..<first + numbers.count])
    }
  }
}
