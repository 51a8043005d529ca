/// Which pixels of a glyph are set.
struct GlyphMask: Equatable {
  let width: Int
  let height: Int
  /// Rows from the top, width · height.
  private(set) var pixels: [Bool]

  init(width: Int, height: Int, pixels: [Bool]) {
    precondition(pixels.count == width * height, "the pixels do not fit the size")
    (self.width, self.height, self.pixels) = (width, height, pixels)
  }

  /// Whether the pixel is set; none outside the mask is.
  subscript(x: Int, y: Int) -> Bool {
    x >= 0 && x < width && y >= 0 && y < height && pixels[y * width + x]
  }

  /// `factor` times as large: slanted lines are smoothed at each doubling, and pixels repeated for an odd rest.
  func scaled(by factor: Int) -> GlyphMask {
    precondition(factor > 0, "a scale is positive")
    guard factor > 1 else { return self }
    return factor % 2 == 0 ? doubled().scaled(by: factor / 2) : repeated(factor)
  }

  private func repeated(_ factor: Int) -> GlyphMask {
    var result = [Bool]()
    result.reserveCapacity(pixels.count * factor * factor)
    for y in 0..<height * factor { for x in 0..<width * factor { result.append(self[x / factor, y / factor]) } }
    return GlyphMask(width: width * factor, height: height * factor, pixels: result)
  }

  /// Source: Mazzoleni, "Scale2x", 2001: a quarter of a pixel takes the value of its two neighbours where these agree and
  /// form a corner.
  private func doubled() -> GlyphMask {
    var result = [Bool]()
    result.reserveCapacity(4 * pixels.count)
    for y in 0..<2 * height {
      for x in 0..<2 * width {
        let (column, row) = (x / 2, y / 2)
        let (above, below) = (self[column, row - 1], self[column, row + 1])
        let (left, right) = (self[column - 1, row], self[column + 1, row])
        let isCorner = above != below && left != right
        let (vertical, horizontal) = (y % 2 == 0 ? above : below, x % 2 == 0 ? left : right)
        result.append(isCorner && vertical == horizontal ? vertical : self[column, row])
      }
    }
    return GlyphMask(width: 2 * width, height: 2 * height, pixels: result)
  }
}
