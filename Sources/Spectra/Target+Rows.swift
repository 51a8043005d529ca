package import Adapters
import Tensors

extension Target {
  /// Some rows of the target's delta as rows of another module: its own, or one in which others stand beside them.
  ///
  /// Exact: the up factor's rows are copied, and what is not copied is zero.
  ///
  /// - Parameters:
  ///   - source: which rows.
  ///   - start: where they stand in the module.
  ///   - count: all rows of the module.
  ///   - swapsHalves: whether the two halves of the rows change places.
  package func placing(
    rows source: Range<Int>, at start: Int, of count: Int, swappingHalves swapsHalves: Bool
  ) -> Target {
    precondition(start >= 0 && start + source.count <= count, "rows outside the module")
    if source == 0..<rows, count == rows, !swapsHalves { return self }
    let up = self.up, width = up.shape.extents.dropFirst().reduce(1, *) * up.dtype.bits / 8
    let middle = source.lowerBound + source.count / 2
    let halves = swapsHalves ? [middle..<source.upperBound, source.lowerBound..<middle] : [source]
    let bytes = Bytes(count: count * width) {
      Bytes(count: count * width) { module in
        module.initializeMemory(as: UInt8.self, repeating: 0)
        up.bytes.withUnsafeBytes { own in
          var place = start * width
          for half in halves {
            let part = UnsafeRawBufferPointer(rebasing: own[half.lowerBound * width..<half.upperBound * width])
            UnsafeMutableRawBufferPointer(rebasing: module[place..<place + part.count]).copyMemory(from: part)
            place += part.count
          }
        }
      }
    }
    return Target(
      name: name, key: key, kind: kind,
      up: Tensor(dtype: up.dtype, shape: Shape([count] + up.shape.extents.dropFirst()), bytes: bytes), down: down,
      mid: mid, names: names, alpha: alpha, scale: scale, isTransposed: isTransposed, algorithm: algorithm,
      storedRank: storedRank, stored: stored)
  }
}
