import Platform

/// Two pictures of the same size, and how far they are from each other.
///
/// What several measures need is worked out once, when the pair is made; the rest when it is asked for.
public struct ImageComparison: Sendable {
  /// What is taken for the original. Only `perceptualScore` asks which is which.
  public let original: RGBImage
  /// What became of it.
  public let other: RGBImage
  /// Of the luma: the pictures themselves, and then each scale half the one before.
  private let scales: [StructuralSimilarity]
  /// The mean of (a - b)² over all pixels and channels, in squared levels of 0...255.
  public let meanSquaredError: Double
  /// The greatest |a - b| of any channel, in levels.
  public let greatestDifference: Int
  /// The share of pixels that differ in any channel, 0...1.
  public let differingShare: Double

  /// The mean structural similarity of the luma, 1 for equal pictures (Wang, Bovik, Sheikh and Simoncelli, "Image quality
  /// assessment: from error visibility to structural similarity", 2004); see `StructuralSimilarity`.
  public var structuralSimilarity: Double { scales[0].index }

  /// MS-SSIM of the luma, 0...1 and 1 for equal pictures: the structural similarity at five scales, each half the one before
  /// (Wang, Simoncelli and Bovik, 2003). Five take a shorter side of at least 176 pixels; below, fewer are used with their
  /// weights divided by their sum, and below 22 there is one, the picture itself. A scale's negative mean counts as 0. See
  /// `MultiScaleSimilarity`.
  public var multiScaleSimilarity: Double { MultiScaleSimilarity.index(of: scales) }

  /// How good the second picture looks beside the first, which is taken for the original: the score SSIMULACRA2, version 2.1
  /// (Jon Sneyers, Cloudinary, 2023). Both pictures are taken for sRGB. Computed whenever it is asked for.
  ///
  /// It is 100 for equal pictures and has no lower limit. Its author's thresholds, for an average observer at 1:1: from 90 no
  /// difference is seen when the pictures flicker in one place, from 85 when one takes the other's place, from 80 when they
  /// are side by side; 70 is high quality (artifacts can be seen and do not annoy), 50 medium, 30 low, 10 very low, and
  /// scores below 0 are for very strong distortion. A side under 113 pixels leaves fewer than six scales, and such scores
  /// are not to be compared with others; see `PerceptualScore`.
  public var perceptualScore: Double { PerceptualScore.score(original: original, other: other) }

  /// The peak signal-to-noise ratio, 10 · log10(255² ÷ mean squared error), in dB; infinite for equal pictures.
  public var peakSignalToNoise: Double { meanSquaredError > 0 ? 10 * log10(255 * 255 / meanSquaredError) : .infinity }

  /// - Parameters:
  ///   - a: the original.
  ///   - b: what became of it.
  /// - Throws: `ImageError`: `differentSizes`, or `tooSmall` where a side is shorter than the window of 11 pixels.
  public init(_ a: RGBImage, _ b: RGBImage) throws(ImageError) {
    try Self.checkSizes(a, b)
    (original, other) = (a, b)
    scales = try MultiScaleSimilarity.scales(a, b)
    // Whole numbers: 134 million pixels of 3 · 255² fit 64 bits, and no order of addition matters.
    var (squares, greatest, differing) = (0, 0, 0)
    a.bytes.withUnsafeBufferPointer { a in
      b.bytes.withUnsafeBufferPointer { b in
        for start in stride(from: 0, to: a.count, by: 3) {
          let red = abs(Int(a[start]) - Int(b[start]))
          let green = abs(Int(a[start + 1]) - Int(b[start + 1]))
          let blue = abs(Int(a[start + 2]) - Int(b[start + 2]))
          squares += red * red + green * green + blue * blue
          let most = max(red, green, blue)
          greatest = max(greatest, most)
          differing += most > 0 ? 1 : 0
        }
      }
    }
    meanSquaredError = Double(squares) / Double(a.bytes.count)
    greatestDifference = greatest
    differingShare = Double(differing) / Double(a.width * a.height)
  }

  /// A picture of where two pictures differ: each pixel's greatest difference of a channel as a colour, from black (none)
  /// over violet, red and orange to pale yellow.
  ///
  /// - Parameter full: the difference, in levels, that gets the last colour; greater ones get it too. Small changes show
  ///   better with a small number.
  /// - Throws: `ImageError.differentSizes`.
  public static func heatMap(_ a: RGBImage, _ b: RGBImage, full: Int = 64) throws(ImageError) -> RGBImage {
    precondition((1...255).contains(full), "the full difference is 1 to 255 levels")
    try checkSizes(a, b)
    let colors = (0...255).map { heat(min(1, Double($0) / Double(full))) }
    let bytes = [UInt8](unsafeUninitializedCapacity: a.bytes.count) { target, count in
      for start in stride(from: 0, to: a.bytes.count, by: 3) {
        let most = (start..<start + 3).reduce(0) { max($0, abs(Int(a.bytes[$1]) - Int(b.bytes[$1]))) }
        colors[most].write(to: target, at: start)
      }
      count = a.bytes.count
    }
    return RGBImage(width: a.width, height: a.height, bytes: bytes)
  }

  /// The colour of a part of the full difference: straight lines between five colours of evenly growing lightness.
  private static func heat(_ part: Double) -> RGBColor {
    let stops: [(Double, Double, Double)] = [(0, 0, 0), (84, 20, 109), (187, 55, 84), (249, 142, 9), (252, 252, 180)]
    let place = part * Double(stops.count - 1)
    let index = min(Int(place), stops.count - 2)
    let (from, to, share) = (stops[index], stops[index + 1], place - Double(index))
    func level(_ a: Double, _ b: Double) -> UInt8 { UInt8((a + (b - a) * share).rounded()) }
    return RGBColor(red: level(from.0, to.0), green: level(from.1, to.1), blue: level(from.2, to.2))
  }

  private static func checkSizes(_ a: RGBImage, _ b: RGBImage) throws(ImageError) {
    guard a.width == b.width, a.height == b.height else {
      throw ImageError(.differentSizes(expected: a.sizeText, found: b.sizeText))
    }
  }
}
