import Platform

/// The structural similarity index of Wang, Bovik, Sheikh and Simoncelli (2004), with their constants: windows of 11x11
/// pixels with Gaussian weights of σ = 1.5 wherever they lie inside the picture, K₁ = 0.01, K₂ = 0.03, L = 255.
///
/// It is taken of the luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, not rounded), as their published figures are: one
/// number for what the eye sees as structure. Colour alone hardly changes it; the mean squared error sees that.
struct StructuralSimilarity {
  static let window = 11

  /// The mean of the index over all windows, at most 1.
  let index: Double
  /// The mean of its factor for contrast and structure alone, (2 σab + C₂) ÷ (σa² + σb² + C₂), at most 1.
  let contrastAndStructure: Double

  static func luma(_ image: RGBImage) -> Plane<Double> {
    Plane(image) { red, green, blue in 0.299 * Double(red) + 0.587 * Double(green) + 0.114 * Double(blue) }
  }

  /// Of two planes of luma of the same size, no side of it shorter than the window.
  init(_ a: Plane<Double>, _ b: Plane<Double>) {
    let window = Self.window
    precondition(a.width == b.width && a.height == b.height, "the planes have different sizes")
    precondition(a.width >= window && a.height >= window, "the planes are smaller than the window")
    let weights = Self.gaussian()
    let columns = a.width - window + 1
    // Rows filtered along x, of the last 11 rows: of a, b, a², b² and ab. Row y lies at y modulo 11.
    var filtered = [Double](repeating: 0, count: window * 5 * columns)
    var lines = [Double](repeating: 0, count: 5 * a.width)
    var sums = [Double](repeating: 0, count: 5 * columns)
    var totals = (index: 0.0, contrastAndStructure: 0.0)
    for row in 0..<a.height {
      Self.fill(&lines, from: a, b, row: row)
      Self.filterRow(lines, width: a.width, weights: weights, into: &filtered, at: row % window * 5 * columns)
      guard row >= window - 1 else { continue }
      for index in sums.indices { sums[index] = 0 }
      for (offset, weight) in weights.enumerated() {
        let start = (row - window + 1 + offset) % window * 5 * columns
        for index in sums.indices { sums[index] += weight * filtered[start + index] }
      }
      Self.add(sums, columns: columns, to: &totals)
    }
    let windows = Double(columns) * Double(a.height - window + 1)
    (index, contrastAndStructure) = (totals.index / windows, totals.contrastAndStructure / windows)
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

  /// One row of both planes, their squares and their product, one after the other.
  private static func fill(_ lines: inout [Double], from a: Plane<Double>, _ b: Plane<Double>, row: Int) {
    let width = a.width
    for column in 0..<width {
      let x = a.values[row * width + column]
      let y = b.values[row * width + column]
      lines[column] = x
      lines[width + column] = y
      lines[2 * width + column] = x * x
      lines[3 * width + column] = y * y
      lines[4 * width + column] = x * y
    }
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

  /// Adds the index and its factor of one row of windows.
  private static func add(
    _ sums: [Double], columns: Int, to totals: inout (index: Double, contrastAndStructure: Double)
  ) {
    let c1 = (0.01 * 255) * (0.01 * 255)
    let c2 = (0.03 * 255) * (0.03 * 255)
    for column in 0..<columns {
      let (meanA, meanB) = (sums[column], sums[columns + column])
      let varianceA = sums[2 * columns + column] - meanA * meanA
      let varianceB = sums[3 * columns + column] - meanB * meanB
      let covariance = sums[4 * columns + column] - meanA * meanB
      let luminance = (2 * meanA * meanB + c1) / (meanA * meanA + meanB * meanB + c1)
      let factor = (2 * covariance + c2) / (varianceA + varianceB + c2)
      totals.index += luminance * factor
      totals.contrastAndStructure += factor
    }
  }
}
