import Adapters
import LinearAlgebra
import Tensors

extension Target {
  /// What targets of one base weight have in common. A kernel of one point is none: 1 × 1 convolutions and linear
  /// targets are alike.
  var extents: [[Int]] { [[rows, inputs, isTransposed ? 1 : 0], kernel.contains { $0 > 1 } ? kernel : []] }

  /// Reads the up factor into its columns of a wider row-major matrix.
  func loadUp(into workspace: FactorWorkspace, columns range: Range<Int>, of count: Int) {
    guard range.count < count else {
      up.copyDoubles(to: workspace.up)
      return
    }
    guard !range.isEmpty else { return }
    let width = up.dtype.bits / 8 * range.count
    up.bytes.withUnsafeBytes { source in
      for row in 0..<rows {
        let start = row * count + range.lowerBound
        up.dtype.decode(
          UnsafeRawBufferPointer(rebasing: source[row * width..<(row + 1) * width]),
          into: UnsafeMutableBufferPointer(rebasing: workspace.up[start..<start + range.count]))
      }
    }
  }

  /// Reads the down factor, with a Tucker core multiplied in, into its rows of a taller row-major matrix.
  func loadDown(into workspace: FactorWorkspace, rows range: Range<Int>, columns: Int) {
    let place = UnsafeMutableBufferPointer(
      rebasing: workspace.down[range.lowerBound * columns..<range.upperBound * columns])
    copyDown(to: place)
  }
}
