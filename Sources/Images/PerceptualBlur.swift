/// The blur of SSIMULACRA2: a window of 9x9 with zeros around the picture, close to a Gaussian with σ = 1.5.
///
/// The original runs three recursions along each line (Charalampidis, "Recursive implementation of the Gaussian filter using
/// truncated cosine functions", 2016, with a radius of 5). What they answer to a single 1 ends after four places, so the same
/// is had from nine weights, and without errors of rounding that run along the line.
enum PerceptualBlur {
  /// How many places the window has on each side of its middle.
  static let reach = 4
  /// Rows of the window.
  static let rows = 2 * reach + 1
  /// The weights from the middle outwards: Σ βₖ cos(k π n ÷ 10) over k = 1, 3, 5 at n = 0...4, β from equation 53 there.
  static let taps = [
    0.2646211054881984, 0.21292859201042202, 0.10933537277746014, 0.0360111146583642, 0.00941436780965351,
  ]

  /// Blurs `count` numbers along their line. `source` begins `reach` places before the first of them and ends `reach` places
  /// after the last.
  static func blurLine(_ source: UnsafePointer<Double>, to target: UnsafeMutablePointer<Double>, count: Int) {
    let (t0, t1, t2, t3, t4) = (taps[0], taps[1], taps[2], taps[3], taps[4])
    for place in 0..<count {
      let from = source + place
      let near = t0 * from[4] + t1 * (from[3] + from[5]) + t2 * (from[2] + from[6])
      target[place] = near + t3 * (from[1] + from[7]) + t4 * (from[0] + from[8])
    }
  }

  /// The weighted sum of nine rows of `count` numbers, the row above the first and so on.
  ///
  /// - Parameter row: where the row so many places from the middle one begins, -4...4.
  static func blurColumns(
    to target: UnsafeMutablePointer<Double>, count: Int, row: (Int) -> UnsafePointer<Double>
  ) {
    let (middle, middleTap) = (row(0), taps[0])
    for place in 0..<count { target[place] = middleTap * middle[place] }
    for distance in 1...reach {
      let (above, below, tap) = (row(-distance), row(distance), taps[distance])
      for place in 0..<count { target[place] += tap * (above[place] + below[place]) }
    }
  }
}
