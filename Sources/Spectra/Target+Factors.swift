import Adapters
import LinearAlgebra
import Tensors

extension Target {
  /// What targets of one base weight have in common. A kernel of one point is none: 1 × 1 convolutions and linear
  /// targets are alike.
  var extents: [[Int]] { [[rows, inputs, isTransposed ? 1 : 0], kernel.contains { $0 > 1 } ? kernel : []] }

  /// Whether both factors lie in memory as they are multiplied: nothing is computed before.
  var isStoredPlainly: Bool { mid == nil && !up.bytes.isComputed && !down.bytes.isComputed }

  /// Reads some rows of the up factor into their columns of a wider row-major matrix.
  func loadUp(
    rows part: Range<Int>, into place: UnsafeMutableBufferPointer<Double>, columns range: Range<Int>, of count: Int
  ) {
    guard !range.isEmpty else { return }
    let width = up.dtype.bits / 8 * range.count
    up.bytes.withUnsafeBytes { source in
      // Rows without others beside them are one piece.
      let step = range.count == count ? part.count : 1
      for row in stride(from: part.lowerBound, to: part.upperBound, by: step) {
        let start = (row - part.lowerBound) * count + range.lowerBound
        up.dtype.decode(
          UnsafeRawBufferPointer(rebasing: source[row * width..<(row + step) * width]),
          into: UnsafeMutableBufferPointer(rebasing: place[start..<start + step * range.count]))
      }
    }
  }

  /// Reads some columns of the down factor into its rows of a taller row-major matrix.
  ///
  /// - Precondition: `isStoredPlainly`.
  func loadDown(
    columns part: Range<Int>, into place: UnsafeMutableBufferPointer<Double>, rows range: Range<Int>
  ) {
    let size = down.dtype.bits / 8
    down.bytes.withUnsafeBytes { source in
      for row in 0..<range.count {
        let from = row * columns + part.lowerBound, start = (range.lowerBound + row) * part.count
        down.dtype.decode(
          UnsafeRawBufferPointer(rebasing: source[from * size..<(from + part.count) * size]),
          into: UnsafeMutableBufferPointer(rebasing: place[start..<start + part.count]))
      }
    }
  }
}
