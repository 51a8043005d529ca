#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The structural similarity index of Wang, Bovik, Sheikh and Simoncelli (2004), with their constants: windows of 11x11
/// pixels with Gaussian weights of σ = 1.5 wherever they lie inside the picture, K₁ = 0.01, K₂ = 0.03, L = 255.
///
/// It is taken of the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, not rounded), as their published figures are: one
/// number for what the eye sees as structure. Colour alone hardly changes it; the mean squared error sees that.
enum StructuralSimilarity {
  static let window = 11

  /// The mean over all windows, in double precision.
  ///
  /// - Throws: `ImageError.tooSmall`.
  static func mean(_ a: RGBImage, _ b: RGBImage) throws(ImageError) -> Double {
    guard a.width >= window, a.height >= window else {
      throw ImageError(.tooSmall(expected: "\(window)x\(window)", found: a.sizeText))
    }
    let weights = gaussian()
    let columns = a.width - window + 1
    // Rows filtered along x, of the last 11 rows: of a, b, a², b² and ab. Row y lies at y modulo 11.
    var filtered = [Double](repeating: 0, count: window * 5 * columns)
    var lines = [Double](repeating: 0, count: 5 * a.width)
    var sums = [Double](repeating: 0, count: 5 * columns)
    var total = 0.0
    for row in 0..<a.height {
      fill(&lines, from: a, b, row: row)
      filterRow(lines, width: a.width, weights: weights, into: &filtered, at: row % window * 5 * columns)
      guard row >= window - 1 else { continue }
      for index in sums.indices { sums[index] = 0 }
      for (offset, weight) in weights.enumerated() {
        let start = (row - window + 1 + offset) % window * 5 * columns
        for index in sums.indices { sums[index] += weight * filtered[start + index] }
      }
      total += indices(sums, columns: columns)
    }
    return total / (Double(columns) * Double(a.height - window + 1))
  }

  /// Normalised to a sum of 1; the window is the product of two of them.
  private static func gaussian() -> [Double] {
    let raw = (0..<window).map { place in
      let distance = Double(place - window / 2)
      return exp(-distance * distance / (2 * 1.5 * 1.5))
    }
    let sum = raw.reduce(0, +)
    return raw.map { $0 / sum }
  }

  /// The luma of one row of both pictures, their squares and their product, one after the other.
  private static func fill(_ lines: inout [Double], from a: RGBImage, _ b: RGBImage, row: Int) {
    let width = a.width
    for column in 0..<width {
      let start = 3 * (row * width + column)
      let x = luma(a.bytes, start)
      let y = luma(b.bytes, start)
      lines[column] = x
      lines[width + column] = y
      lines[2 * width + column] = x * x
      lines[3 * width + column] = y * y
      lines[4 * width + column] = x * y
    }
  }

  private static func luma(_ bytes: [UInt8], _ start: Int) -> Double {
    0.299 * Double(bytes[start]) + 0.587 * Double(bytes[start + 1]) + 0.114 * Double(bytes[start + 2])
  }

  private static func filterRow(
    _ lines: [Double], width: Int, weights: [Double], into target: inout [Double], at start: Int
  ) {
    let columns = width - window + 1
    lines.withUnsafeBufferPointer { lines in
      target.withUnsafeMutableBufferPointer { target in
        for line in 0..<5 {
          let from = lines.baseAddress! + line * width
          let to = target.baseAddress! + start + line * columns
          for column in 0..<columns { to[column] = weights[0] * from[column] }
          for offset in 1..<window {
            let weight = weights[offset]
            for column in 0..<columns { to[column] += weight * from[column + offset] }
          }
        }
      }
    }
  }

  /// The sum of the index over one row of windows.
  private static func indices(_ sums: [Double], columns: Int) -> Double {
    let c1 = (0.01 * 255) * (0.01 * 255)
    let c2 = (0.03 * 255) * (0.03 * 255)
    var total = 0.0
    for column in 0..<columns {
      let (meanA, meanB) = (sums[column], sums[columns + column])
      let varianceA = sums[2 * columns + column] - meanA * meanA
      let varianceB = sums[3 * columns + column] - meanB * meanB
      let covariance = sums[4 * columns + column] - meanA * meanB
      total +=
        (2 * meanA * meanB + c1) * (2 * covariance + c2)
        / ((meanA * meanA + meanB * meanB + c1) * (varianceA + varianceB + c2))
    }
    return total
  }
}
