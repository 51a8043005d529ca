/// A 3 × 3 convolution of a map enlarged twofold by repeating pixels, without enlarging it.
///
/// An even output row sees the rows y-1, y, y of the small map, an odd one y, y, y+1; columns likewise. So each of the four
/// combinations of even and odd is a 2 × 2 convolution with summed weights: 16 products in place of 36.
final class FoldedConvolution {
  private unowned let backend: NativeBackend
  private let operand: NumberFormat
  /// By the parity of row and column: even-even, even-odd, odd-even, odd-odd.
  private let parts: [DirectConvolution]

  /// - Parameters:
  ///   - weight: out × in × 3 × 3 in f32; `extents`: these four numbers.
  ///   - size: the usual size of the output, which is even.
  init(
    weight: UnsafeRawPointer, extents: [Int], bias: FeatureMap?, operand: NumberFormat, expecting size: MapSize,
    backend: NativeBackend
  ) {
    precondition(Array(extents[2...]) == [3, 3], "only kernels of 3 × 3 are folded")
    self.backend = backend
    self.operand = operand
    let kernels = extents[0] * extents[1], weight = weight.assumingMemoryBound(to: Float.self)
    let folded = backend.hostPool.hostMemory(of: 4 * 4 * kernels)
    let target = folded.base.assumingMemoryBound(to: Float.self)
    parts = [(0, 0), (0, 1), (1, 0), (1, 1)].map { odd in
      for kernel in 0..<kernels {
        let taps = weight + 9 * kernel
        for (i, rows) in Self.taps[odd.0].enumerated() {
          for (j, columns) in Self.taps[odd.1].enumerated() {
            var sum: Float = 0
            for row in rows { for column in columns { sum += taps[3 * row + column] } }
            target[4 * kernel + 2 * i + j] = sum
          }
        }
      }
      let geometry = ConvolutionGeometry(
        stride: 1, before: MapSize(height: 1 - odd.0, width: 1 - odd.1),
        after: MapSize(height: odd.0, width: odd.1))
      return DirectConvolution(
        weight: folded.base, extents: [extents[0], extents[1], 2, 2], bias: bias, geometry: geometry, operand: operand,
        expecting: MapSize(height: size.height / 2, width: size.width / 2), backend: backend)
    }
  }

  /// Which of the three taps fall together on the first and on the second of two pixels, for even and for odd places.
  private static let taps: [[Range<Int>]] = [[0..<1, 1..<3], [0..<2, 2..<3]]

  func callAsFunction(_ x: FeatureMap) -> FeatureMap {
    let x = backend.converted(x, to: operand)
    let size = x.size.doubled
    var result: FeatureMap?
    for (index, part) in parts.enumerated() {
      let quarter = part(x)
      let target = result ?? quarter.similar(size: size, pool: backend.pool)
      backend.interleave(quarter, into: target, row: index / 2, column: index % 2)
      result = target
    }
    return result!
  }
}

extension NativeBackend {
  /// Writes `quarter` to every second pixel of every second row of `target`.
  fileprivate func interleave(_ quarter: FeatureMap, into target: FeatureMap, row: Int, column: Int) {
    let channels = quarter.channels
    work(.moving) {
      team.run(quarter.batch * quarter.height) { line, _ in
        let sample = line / quarter.height, y = 2 * (line % quarter.height) + row
        let source = quarter.floats + line * quarter.width * channels
        let place = target.floats + ((sample * target.height + y) * target.width + column) * channels
        for x in 0..<quarter.width { (place + 2 * x * channels).update(from: source + x * channels, count: channels) }
      }
    }
  }
}
