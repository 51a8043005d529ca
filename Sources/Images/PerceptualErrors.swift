/// What SSIMULACRA2 finds of one component of colour at one scale: three errors of each pixel, in two norms.
struct PerceptualErrors {
  private struct Sums {
    /// 1 - SSIM, with a luminance that weighs dark and light alike.
    var dissimilarity = 0.0
    /// Edges that only the other picture has: ringing, blocks, bands.
    var artifact = 0.0
    /// Edges that only the original has: blur.
    var lostDetail = 0.0
  }

  private var plain = Sums()
  private var fourthPowers = Sums()
  private var pixels = 0

  /// The three means and then the three 4-norms, in the order of the weights; none is negative.
  var norms: [Double] {
    let means = [plain.dissimilarity, plain.artifact, plain.lostDetail]
    let powers = [fourthPowers.dissimilarity, fourthPowers.artifact, fourthPowers.lostDetail]
    return means.map { $0 / Double(pixels) } + powers.map { ($0 / Double(pixels)).squareRoot().squareRoot() }
  }

  /// Adds `count` pixels of a row.
  ///
  /// - Parameters:
  ///   - a, b: the component in the original and in the other picture.
  ///   - blurred: a, b, a², b² and ab, blurred, `count` of each.
  mutating func add(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, blurred: UnsafePointer<Double>, count: Int
  ) {
    var (plain, fourthPowers) = (plain, fourthPowers)
    let c2 = 0.0009
    for place in 0..<count {
      let (meanA, meanB) = (blurred[place], blurred[count + place])
      let varianceA = blurred[2 * count + place] - meanA * meanA
      let varianceB = blurred[3 * count + place] - meanB * meanB
      let covariance = blurred[4 * count + place] - meanA * meanB
      let structure = (2 * covariance + c2) / (varianceA + varianceB + c2)
      let dissimilarity = Self.positive(1 - (1 - (meanA - meanB) * (meanA - meanB)) * structure)
      let edges = (1 + abs(Double(b[place]) - meanB)) / (1 + abs(Double(a[place]) - meanA)) - 1
      let (artifact, lostDetail) = (Self.positive(edges), Self.positive(-edges))
      plain.dissimilarity += dissimilarity
      plain.artifact += artifact
      plain.lostDetail += lostDetail
      fourthPowers.dissimilarity += Self.fourthPower(dissimilarity)
      fourthPowers.artifact += Self.fourthPower(artifact)
      fourthPowers.lostDetail += Self.fourthPower(lostDetail)
    }
    (self.plain, self.fourthPowers) = (plain, fourthPowers)
    pixels += count
  }

  /// The number, or 0 where it is negative.
  private static func positive(_ number: Double) -> Double { number < 0 ? 0 : number }

  private static func fourthPower(_ number: Double) -> Double { (number * number) * (number * number) }
}
